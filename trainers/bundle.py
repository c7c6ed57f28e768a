r"""Turns a trained run into the model that comes with the package.

  python -m trainers.ptb --preset=sotu --dtype=float32 --learning_rate=30 --epochs=3 --bptt=25 \
    --validation_batch_size=40 --logging_interval=300 --non_monotone_interval=1 \
    --workdir=runs/bundled
  python -m trainers.bundle --workdir=runs/bundled

`make bundled_model` runs both commands. The run's best weights are written in 8 bits, with its
settings and vocabulary. Commands that do not require --workdir use this model by default.
"""

from absl import flags

from trainers import cli


def main():
    flags.DEFINE_string("workdir", None, "run folder (required)")
    flags.DEFINE_string(
        "output", None, "folder to write to; default: awd_keras/bundled_model in the package"
    )
    cli.main("trainers.commands.bundle", __doc__)


if __name__ == "__main__":
    main()
