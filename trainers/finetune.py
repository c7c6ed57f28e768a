"""Fine-tunes a trained run, as the paper does: averaged SGD from its best weights, to a stop.

  python -m trainers.finetune --workdir=runs/ptb                 into runs/ptb-finetuned
  python -m trainers.finetune --workdir=runs/ptb --output_workdir=FOLDER --learning_rate=10

Averaging begins before the first step. The run stops when the non-monotonic test of the trigger
holds for the validation losses of the average, or after --epochs. Its best weights are those of the
run it started from until others are better on validation. The settings are those of that run,
changed by the flags that are given; only the learning rate is constant unless they say otherwise,
and a run of another optimizer is fine-tuned by SGD at the rate 30 of the paper.
What it was started from is on record in its config.json (initial_run); the folder of that run is
not changed.

The same command again continues a fine-tuning that was stopped, bit for bit.
"""

import dataclasses
import os
import pathlib

from absl import flags

from trainers import command, common
from trainers.config import TrainingConfig
from trainers.errors import UserError

FLAGS = flags.FLAGS
# Another model or other words would not fit the weights.
_FIXED_SECTIONS = ("Data", "Model")
_FIXED = ("initial_run", "trigger")


def main():
    flags.DEFINE_string("workdir", None, "run folder to start from (required)")
    flags.DEFINE_string(
        "output_workdir",
        None,
        "run folder of the fine-tuning; default: that of --workdir with -finetuned after it",
    )
    flags.DEFINE_bool(
        "resume",
        True,
        "go on with the run in --output_workdir; with --noresume an existing run is an error",
    )
    for field in dataclasses.fields(TrainingConfig):
        is_fixed = field.metadata["section"] in _FIXED_SECTIONS or field.name in _FIXED
        if not is_fixed or field.name == "data_dir":
            common.define_setting(field, None)
    command.main(_finetune)


def _finetune():
    from trainers.training import RunFolder

    if not FLAGS.workdir:
        raise UserError("--workdir is required: the folder of a trained run.")
    initial_run = os.path.normpath(FLAGS.workdir)
    output = os.path.normpath(FLAGS.output_workdir or f"{initial_run}-finetuned")
    if pathlib.Path(output).resolve().is_relative_to(pathlib.Path(initial_run).resolve()):
        raise UserError(
            f"The fine-tuning needs a folder of its own, outside {initial_run}, which stays as it "
            f"is. Received: output_workdir={output}"
        )
    folder = RunFolder(initial_run)
    if not folder.check():
        raise UserError(f"There is no run in {initial_run} to start from. Train one first.")
    settings, _ = folder.read_config()
    config = settings.fine_tuning(initial_run, **common.given_settings())
    return common.train(config, output, FLAGS.resume)


if __name__ == "__main__":
    main()
