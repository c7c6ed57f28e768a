"""Searches whose trials are run folders: they go on, from trial to trial and inside a trial."""

import os
import pathlib
import shutil
import warnings

import keras
import keras_tuner

from trainers.errors import UserError
from trainers.search.hypermodel import objective
from trainers.search.oracles import (
    BayesianOptimizationOracle,
    HyperbandOracle,
    RandomSearchOracle,
)
from trainers.training import factory
from trainers.training.folder_lock import folder_lock

# What a later round of Hyperband does not take over from the trial it goes on with.
_NOT_COPIED = shutil.ignore_patterns("events", "curves.png", "results.json", "lock", "*.partial")


class TrialError(keras_tuner.errors.FatalError):
    """Ends a search: what went wrong in a trial, its `__cause__`, is no property of the trial."""


class ChiefError(UserError):
    """A worker without its chief."""


class RunFolderTuner(keras_tuner.Tuner):
    """A tuner each of whose trials is a run in `trial_<id>/run`, with everything a run has.

    A search that was stopped, at any moment, goes on with the same arguments: finished trials are
    on record, and the trial under way goes on from its checkpoint, bit for bit. It may have been
    made alone and go on with a chief and workers, or the other way round.

    Args:
        oracle: what chooses the settings.
        hypermodel: `AWDLSTMHyperModel`.
        workdir: folder of the search.
        on_trial_begin, on_trial_end: None, or functions of the `keras_tuner` trial.
    """

    def __init__(self, oracle, hypermodel, workdir, on_trial_begin=None, on_trial_end=None):
        path = pathlib.Path(os.path.abspath(workdir))
        self._callbacks = on_trial_begin, on_trial_end
        oracle.verbose = 0
        super().__init__(oracle, hypermodel, directory=str(path.parent), project_name=path.name)

    def search(self, corpus):
        """Runs all trials, or those that are left.

        Args:
            corpus: `Corpus`.

        Raises:
            TrialError: for what is no property of a trial; its `__cause__` says what.
            ChiefError: in a worker, if the chief does not answer, or no more.
            KeyboardInterrupt: after an interruption; everything was saved.
        """
        import grpc  # which KerasTuner itself loads where there are several processes

        try:
            super().search(corpus)
        except grpc.RpcError as error:
            raise ChiefError(
                f"The chief does not answer ({error.code().name}: {error.details()}). Start it "
                "again, then this worker with its own id: both go on from where they were."
            ) from error

    def run_folder(self, trial_id):
        """The run folder of a trial (`pathlib.Path`)."""
        return pathlib.Path(self.get_trial_dir(trial_id), "run")

    def run_trial(self, trial, corpus):
        hp = trial.hyperparameters
        workdir = self.run_folder(trial.trial_id)
        keras.backend.clear_session()
        try:
            # A worker that the chief has forgotten may still be at it.
            with folder_lock(workdir.parent, wait=True):
                self._go_on_from(hp.values.get("tuner/trial_id"), workdir)
                model = self.hypermodel.build(hp)
                return self.hypermodel.fit(
                    hp, model, corpus, workdir=workdir, epochs=hp.values.get("tuner/epochs")
                )
        except keras_tuner.errors.FailedTrialError:
            raise
        except Exception as error:
            # KerasTuner would take any mistake for a bad trial.
            raise TrialError(f"Trial {trial.trial_id}: {error}") from error

    def _try_run_and_update_trial(self, trial, *args, **kwargs):
        # KerasTuner prints the traceback of a failed trial; here its message is enough.
        try:
            with warnings.catch_warnings():
                # One killed just before its end has its perplexity on record already.
                warnings.filterwarnings("ignore", message="The use case of calling")
                self._run_and_update_trial(trial, *args, **kwargs)
            trial.status = "COMPLETED"
        except keras_tuner.errors.FailedTrialError as error:
            trial.status, trial.message = "FAILED", str(error)

    def _go_on_from(self, trial_id, workdir):
        """Gives a trial of Hyperband's later rounds the run that it goes on with."""
        if not trial_id or workdir.exists():
            return
        beside = workdir.with_name("run.partial")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(self.run_folder(trial_id), beside, ignore=_NOT_COPIED)
        beside.replace(workdir)

    def load_model(self, trial):
        """The model of a trial, with its best weights."""
        return factory.load_run(self.run_folder(trial.trial_id))[0]

    def on_trial_begin(self, trial):
        if self._callbacks[0]:
            self._callbacks[0](trial)

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        if self._callbacks[1]:
            self._callbacks[1](trial)

    def _get_tuner_fname(self):
        # By this file KerasTuner finds a search that goes on. Its own name for it has the id of the
        # process: alone and as a chief it would not find the other's, and begin anew on top of it.
        # A tuner itself has nothing to remember.
        return os.path.join(self.project_dir, "oracle.json")

    def save(self):
        if not self._is_worker():
            self.oracle.save()

    def reload(self):
        if not self._is_worker():
            self.oracle.reload()


class RandomSearch(RunFolderTuner):
    """Random search; the first trial has the settings that the search starts from.

    Args:
        hypermodel: `AWDLSTMHyperModel`.
        workdir: folder of the search.
        max_trials: how many trials there are; a search that goes on may have more.
        seed: of the settings.
        **kwargs: those of `RunFolderTuner`.
    """

    def __init__(self, hypermodel, workdir, max_trials=20, seed=1, **kwargs):
        oracle = RandomSearchOracle(
            hypermodel.defaults(), objective=objective(), max_trials=max_trials, seed=seed
        )
        super().__init__(oracle, hypermodel, workdir, **kwargs)


class BayesianOptimization(RunFolderTuner):
    """Bayesian search; the first trial has the settings that the search starts from.

    Args:
        hypermodel: `AWDLSTMHyperModel`.
        workdir: folder of the search.
        max_trials: how many trials there are; a search that goes on may have more.
        seed: of the settings.
        **kwargs: those of `RunFolderTuner`.

    Raises:
        ImportError: without scikit-learn and SciPy.
    """

    def __init__(self, hypermodel, workdir, max_trials=20, seed=1, **kwargs):
        oracle = BayesianOptimizationOracle(
            hypermodel.defaults(), objective=objective(), max_trials=max_trials, seed=seed
        )
        super().__init__(oracle, hypermodel, workdir, **kwargs)


class Hyperband(RunFolderTuner):
    """Hyperband (Li et al. 2018): many short trials, of which the best go on, bit for bit.

    Args:
        hypermodel: `AWDLSTMHyperModel`; the epochs of its settings are those of the longest trial.
        workdir: folder of the search.
        factor: one trial in so many goes on, for so many times the epochs.
        iterations: how often the whole is done.
        seed: of the settings.
        **kwargs: those of `RunFolderTuner`.
    """

    def __init__(self, hypermodel, workdir, factor=3, iterations=1, seed=1, **kwargs):
        config = hypermodel.base_config
        # A schedule spans the longest trial, whatever a shorter one sees of it.
        hypermodel.base_config = config.replace(schedule_epochs=config.schedule_length)
        oracle = HyperbandOracle(
            objective=objective(),
            max_epochs=config.epochs,
            factor=factor,
            hyperband_iterations=iterations,
            seed=seed,
        )
        super().__init__(oracle, hypermodel, workdir, **kwargs)
