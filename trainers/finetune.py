"""Fine-tunes a trained run as in the paper: averaged SGD from its best weights.

  python -m trainers.finetune --workdir=runs/ptb                 into runs/ptb-finetuned
  python -m trainers.finetune --workdir=runs/ptb --output_workdir=FOLDER --learning_rate=10

Averaging starts before the first step. Fine-tuning stops when the non-monotonic test fires on the
validation losses of the average, or after --epochs. The best weights are those of the original run
until the average is better on the validation text.

Settings are taken from the original run, and flags override them. By default, the learning rate is
constant, and a run trained with another optimizer is fine-tuned by SGD at the paper's learning rate
of 30. The folder of the original run is not changed.

Run the same command again to resume an interrupted run, bit for bit.
"""

import dataclasses

from absl import flags

from trainers import cli, config_flags
from trainers.config import TrainingConfig

# Settings that must match the weights or that define fine-tuning.
_FIXED_SECTIONS = ("Data", "Model")
_FIXED = ("initial_run", "trigger")


def main():
    with cli.section("Run"):
        flags.DEFINE_string("workdir", None, "run folder to start from (required)")
        help = "run folder for fine-tuning; default: <workdir>-finetuned"
        flags.DEFINE_string("output_workdir", None, help)
        help = "resume any run in --output_workdir; with --noresume, fail instead"
        flags.DEFINE_bool("resume", True, help)
        config_flags.define_end_flags()
    for field in dataclasses.fields(TrainingConfig):
        is_fixed = field.metadata["section"] in _FIXED_SECTIONS or field.name in _FIXED
        if not is_fixed or field.name == "data_dir":
            config_flags.define_config_flag(field, None)
    cli.main("trainers.commands.finetune", __doc__)


if __name__ == "__main__":
    main()
