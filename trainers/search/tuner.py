"""A KerasTuner tuner whose trials are run folders, trained by the ordinary loop."""

import math
import pathlib
import shutil
import sys

import keras
import keras_tuner
import tensorflow as tf

from awd_keras.atomic_write import atomic_folder
from trainers.errors import UserError
from trainers.search.spaces import SPACES
from trainers.training import RunFolder, factory, train_and_evaluate

OBJECTIVE = "val_perplexity"


class _StartingFromDefaults:
    """An oracle whose first trial has the default of each hyperparameter."""

    def populate_space(self, trial_id):
        if self.trials:
            return super().populate_space(trial_id)
        values = {hp.name: hp.default for hp in self.hyperparameters.space}
        return {"status": "RUNNING", "values": values}


class _RandomSearch(_StartingFromDefaults, keras_tuner.oracles.RandomSearchOracle):
    pass


class _BayesianOptimization(_StartingFromDefaults, keras_tuner.oracles.BayesianOptimizationOracle):
    pass


def make_oracle(kind, config, tune, *, seed, max_trials=20, factor=3, iterations=1):
    """Creates the `keras_tuner.Oracle` of a search.

    Args:
        kind: `"random"`, `"bayesian"` or `"hyperband"`.
        config: The `TrainingConfig` with the defaults and the epochs of the longest trials.
        tune: Names in `SPACES`.
        seed: Random seed.
        max_trials: Number of trials, except for Hyperband.
        factor: Hyperband continues one in `factor` trials, for `factor` times the epochs.
        iterations: Number of times to run Hyperband.
    """
    hyperparameters = keras_tuner.HyperParameters()
    try:
        for name in tune:
            SPACES[name].declare(hyperparameters, name, getattr(config, name))
    except ValueError as error:
        raise UserError(str(error)) from None
    arguments = {
        "objective": keras_tuner.Objective(OBJECTIVE, "min"),
        "seed": seed,
        "hyperparameters": hyperparameters,
        # Diverged trials must not end the search.
        "max_consecutive_failed_trials": sys.maxsize,
    }
    if kind == "hyperband":
        return keras_tuner.oracles.HyperbandOracle(
            max_epochs=config.epochs, factor=factor, hyperband_iterations=iterations, **arguments
        )
    if kind == "random":
        return _RandomSearch(max_trials=max_trials, **arguments)
    # KerasTuner defaults to three random trials per hyperparameter, more than most searches have.
    num_initial_points = max(3, min(3 * len(tune), max_trials // 3))
    return _BayesianOptimization(
        max_trials=max_trials, num_initial_points=num_initial_points, **arguments
    )


class RunFolderTuner(keras_tuner.Tuner):
    """A tuner that trains each trial in its own run folder, `trial_ID/run`.

    A search resumes from KerasTuner's project folder, and its interrupted trial from the run
    folder. A trial that diverges, runs out of memory or has invalid settings counts as failed.
    `on_trial_end` is called after each trial of this process.
    """

    def __init__(self, oracle, config, workdir, on_trial_end):
        self._config, self._on_trial_end = config, on_trial_end
        workdir = pathlib.Path(workdir).absolute()
        super().__init__(oracle, directory=str(workdir.parent), project_name=workdir.name)

    def run_folder(self, trial_id):
        """Returns the `RunFolder` of a trial."""
        return RunFolder(pathlib.Path(self.get_trial_dir(trial_id), "run"))

    def run_trial(self, trial, corpus):
        """Trains or resumes a trial and returns its objective, NaN if it failed.

        Raises:
            KeyboardInterrupt: If the run was interrupted. It can be resumed.
            keras_tuner.errors.FatalError: If an unexpected error, its `__cause__`, ends the search.
        """
        keras.backend.clear_session()
        values = dict(trial.hyperparameters.values)
        folder = self.run_folder(trial.trial_id)
        settings = {name: value for name, value in values.items() if name in SPACES}
        settings["epochs"] = values.get("tuner/epochs", self._config.epochs)
        described = ", ".join(f"{name}={format_value(value)}" for name, value in settings.items())
        print(f"--- trial {trial.trial_id}: {described}", flush=True)
        try:
            self._copy_checkpoint(values.get("tuner/trial_id"), folder)
            config = self._config.replace(**settings, schedule_epochs=self._config.schedule_length)
            model = factory.build_model(config, len(corpus.vocabulary))
            optimizer = factory.build_optimizer(config, model)
            result = train_and_evaluate(
                model, optimizer, corpus, config, folder, evaluate_test=False
            )
        except (UserError, tf.errors.ResourceExhaustedError) as error:
            print(f"trial {trial.trial_id} failed: {error}", flush=True)
            return {OBJECTIVE: math.nan}
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error
        if result.reason == "interrupted":
            raise KeyboardInterrupt
        return {OBJECTIVE: result.validation.perplexity}

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        self._on_trial_end()

    def _copy_checkpoint(self, trial_id, folder):
        """Copies the run that a promoted trial of Hyperband continues."""
        if trial_id and not folder.path.exists():
            ignore = shutil.ignore_patterns("events", "curves.png", "results.json")
            with atomic_folder(folder.path) as temporary:
                source = self.run_folder(trial_id).path
                shutil.copytree(source, temporary, ignore=ignore, dirs_exist_ok=True)


def trial_results(oracle, epochs):
    """Returns the trials as dictionaries, best first; `epochs` applies unless Hyperband sets it."""
    results = []
    for trial in oracle.trials.values():
        values = trial.hyperparameters.values
        is_completed = trial.status == "COMPLETED"
        results.append(
            {
                "trial": trial.trial_id,
                "status": trial.status,
                "epochs": values.get("tuner/epochs", epochs),
                "validation_perplexity": float(trial.score) if is_completed else None,
                # Names with a slash are Hyperband's.
                **{name: value for name, value in values.items() if "/" not in name},
            }
        )
    return sorted(results, key=lambda r: (r["validation_perplexity"] or math.inf, r["trial"]))


def format_value(value):
    """Formats a setting or a result with few digits."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
