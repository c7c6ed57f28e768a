"""Finds suitable learning rates by a range test: short training at increasing learning rates.

  python -m trainers.learning_rate_range --data_dir=FOLDER --preset=ptb_small
  python -m trainers.learning_rate_range --data_dir=FOLDER --recipe=fast
  python -m trainers.learning_rate_range --preset=sotu --lowest_learning_rate=1 --num_steps=100

The learning rate grows by a constant factor per step, until the smoothed loss exceeds its minimum
by half or --num_steps steps are done. Prints the rate at which the loss falls fastest and the rate
at which it is smallest. Choose a constant rate between them, and the peak of
--learning_rate_schedule=one_cycle near the second. Writes learning_rate_range.csv and .png into
--workdir. Other flags are those of the training commands.
"""

from absl import flags

from trainers import cli, config_flags


def main():
    config_flags.define_config_flags("ptb")
    with cli.section("Range test"):
        help = "folder for the results; default: runs/<preset>[-<recipe>]-learning_rate_range"
        flags.DEFINE_string("workdir", None, help)
        help = "learning rate of the first step; default: 0.1, or 1e-5 for adam"
        flags.DEFINE_float("lowest_learning_rate", None, help, lower_bound=1e-12)
        help = "learning rate of the last step; default: 1000, or 1 for adam"
        flags.DEFINE_float("highest_learning_rate", None, help, lower_bound=1e-12)
        flags.DEFINE_integer("num_steps", 200, "number of steps", 10, 10**6)
    cli.main("trainers.commands.learning_rate_range", __doc__, check=config_flags.config_from_flags)


if __name__ == "__main__":
    main()
