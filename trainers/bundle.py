r"""Makes the model that comes with the package of a trained run.

  python -m trainers.ptb --preset=demo --dtype=float32 --learning_rate=30 --epochs=3 --bptt=25 \
    --validation_batch_size=40 --logging_interval=300 --non_monotone_interval=1 \
    --workdir=runs/bundled
  python -m trainers.bundle --workdir=runs/bundled

`make bundled_model` runs both. The run's best weights are written in 8 bits, with its settings and
its vocabulary, into awd_keras/bundled_model, where trainers.generate, trainers.score and
serving.local find them when no --workdir is given.
"""

from absl import flags

from trainers import command
from trainers.errors import UserError

FLAGS = flags.FLAGS


def main():
    flags.DEFINE_string("workdir", None, "run folder (required)")
    flags.DEFINE_string(
        "output",
        None,
        "folder to write: a new or an empty one, or that of an older such "
        "model; default: that of the package",
    )
    command.main(_bundle)


def _bundle():
    from trainers.training import bundled

    if not FLAGS.workdir:
        raise UserError("--workdir is required: the folder of a trained run.")
    folder = FLAGS.output or bundled.FOLDER
    num_bytes = bundled.write_bundled_model(FLAGS.workdir, folder)
    print(f"{bundled.describe(folder)}: {num_bytes / 1e6:.2f} MB in {folder}")


if __name__ == "__main__":
    main()
