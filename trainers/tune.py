r"""Searches for good settings with KerasTuner.

  python -m trainers.tune --preset=sotu --epochs=1                    20 random trials
  python -m trainers.tune --data_dir=FOLDER --preset=ptb_small --tuner=bayesian --max_trials=30 \
      --tune=dropouts,learning_rate,weight_decay
  python -m trainers.tune --preset=sotu --tuner=hyperband --epochs=9

The search minimizes the validation perplexity of the best weights. It never reads the test text.
--tune takes settings or groups of settings: dropouts, regularization, optimization, sizes, all. The
first trial of a random or Bayesian search uses the settings given by the other flags. Hyperband
trains many trials for a few epochs and continues the best ones from their checkpoints, up to
--epochs. A trial that diverges counts as failed; Hyperband then promotes fewer trials.

Each trial has a run folder, trial_ID/run in --workdir, which also contains trials.csv and
best.flags (for python -m trainers.ptb --flagfile=best.flags). Run the same command again to resume,
even in the middle of a trial; --max_trials may then be larger. A search that is killed while
KerasTuner writes its files may lose one trial.

For parallel trials, start the command once as the chief and once for each worker, with the same
--workdir on a shared file system and these environment variables:
  KERASTUNER_ORACLE_IP=127.0.0.1 KERASTUNER_ORACLE_PORT=8000 KERASTUNER_TUNER_ID=chief
The IDs of the workers are tuner0, tuner1, and so on. Restart a stopped worker with the same ID.
"""

from absl import flags

from trainers import cli, config_flags

_TUNE = ["dropout_multiplier", "learning_rate", "weight_decay", "ar_alpha", "tar_beta"]


def main():
    config_flags.define_run_flags("ptb")
    flags.FLAGS["workdir"].help = "folder of the search; default: runs/<preset>[-<recipe>]-tune"
    with cli.section("Search"):
        flags.DEFINE_list("tune", _TUNE, "settings and groups of settings to tune")
        flags.DEFINE_enum("tuner", "random", ["random", "bayesian", "hyperband"], "search method")
        help = "number of trials of a random or Bayesian search"
        flags.DEFINE_integer("max_trials", 20, help, lower_bound=1, upper_bound=10**6)
        help = "hyperband continues one in N trials, for N times the epochs"
        flags.DEFINE_integer("hyperband_factor", 3, help, lower_bound=2, upper_bound=1000)
        help = "number of times to run hyperband"
        flags.DEFINE_integer("hyperband_iterations", 1, help, lower_bound=1, upper_bound=1000)
        flags.DEFINE_integer("search_seed", 1, "random seed for the search", lower_bound=1)
    cli.main("trainers.commands.tune", __doc__, check=config_flags.config_from_flags)


if __name__ == "__main__":
    main()
