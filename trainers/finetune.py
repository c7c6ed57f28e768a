"""Fine-tunes a trained run as in the paper: averaged SGD from its best weights.

  python -m trainers.finetune --workdir=runs/ptb                 into runs/ptb-finetuned
  python -m trainers.finetune --workdir=runs/ptb --output_workdir=FOLDER --learning_rate=10
  python -m trainers.finetune --initial_run=runs/ptb --workdir=FOLDER --corpus=text --data_dir=TEXTS

Averaging starts before the first step. Fine-tuning stops when the non-monotonic test fires on the
validation losses of the average, or after --epochs. The best weights are those of the original run
until the average is better on the validation text.

Settings are taken from the original run, and flags override them. By default, the learning rate is
constant, and a run trained with another optimizer is fine-tuned by SGD at the paper's learning rate
of 30. The folder of the original run is not changed.

The text may be a different one. Words that both texts have keep their weights, and new words start
from the mean of all words; --require_same_vocabulary refuses other words.

Run the same command again to resume an interrupted run, bit for bit.
"""

import dataclasses

from absl import flags

from trainers import cli, config_flags
from trainers.config import TrainingConfig


def main():
    with cli.section("Run"):
        help = "run folder to start from, or with --initial_run, run folder for fine-tuning"
        flags.DEFINE_string("workdir", None, help)
        help = "run folder for fine-tuning; default: <workdir>-finetuned"
        flags.DEFINE_string("output_workdir", None, help)
        help = "resume any run in --output_workdir; with --noresume, fail instead"
        flags.DEFINE_bool("resume", True, help)
        config_flags.define_end_flags()
    for field in dataclasses.fields(TrainingConfig):
        # The model must match the weights, and the trigger defines fine-tuning.
        if field.metadata["section"] != "Model" and field.name != "trigger":
            config_flags.define_config_flag(field, None)
    cli.main("trainers.commands.finetune", __doc__)


if __name__ == "__main__":
    main()
