"""KerasTuner's oracles, made to survive: their files are never half written, no trial is lost."""

import json
import os
import warnings

import keras_tuner
import numpy as np

from trainers.training.run_folder import write_beside

# Divergence is a bad trial, not the end of the search.
_NEVER = 10**9


class _Durable:
    """What all three have in common.

    KerasTuner writes its files in place, and runs a trial again that had ended while its own file
    did not say so yet.

    Attributes:
        on_trial_end: None, or a function of a trial that has ended, whichever worker made it.
    """

    on_trial_end = None

    def end_trial(self, trial):
        super().end_trial(trial)
        if self.on_trial_end is not None:
            self.on_trial_end(self.trials[trial.trial_id])

    def save(self):
        write_beside(self._get_oracle_fname(), json.dumps(self.get_state()))

    def _save_trial(self, trial):
        path = os.path.join(self._get_trial_dir(trial.trial_id), "trial.json")
        write_beside(path, json.dumps(trial.get_state()))

    def reload(self):
        super().reload()
        # Written down as a trial, and then killed: for the search it has never begun. And in their
        # order, on which the rounding of what is computed from them depends.
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        done = {"COMPLETED", "FAILED"}
        self._retry_queue = [
            trial_id
            for trial_id in dict.fromkeys(self._retry_queue)
            if self.trials[trial_id].status not in done
        ]


class _StartsFromDefaults(_Durable):
    """An oracle whose first trial has the settings that the search starts from."""

    def __init__(self, defaults, **kwargs):
        super().__init__(max_consecutive_failed_trials=_NEVER, **kwargs)
        self._defaults = dict(defaults)

    def populate_space(self, trial_id):
        if not self.trials:
            return {"status": "RUNNING", "values": dict(self._defaults)}
        return super().populate_space(trial_id)

    @property
    def num_trials(self):
        """How many trials there will be."""
        return self.max_trials


class RandomSearchOracle(_StartsFromDefaults, keras_tuner.oracles.RandomSearchOracle):
    """Random settings; the first trial has the settings that the search starts from.

    Args:
        defaults: those settings, by name.
        **kwargs: those of `keras_tuner.oracles.RandomSearchOracle`.
    """


class BayesianOptimizationOracle(
    _StartsFromDefaults, keras_tuner.oracles.BayesianOptimizationOracle
):
    """Settings chosen by a Gaussian process; the first trial has those that the search starts from.

    A third of the trials, at least three, are random: KerasTuner's default, three for each setting,
    is more than most searches have.

    Args:
        defaults: those settings, by name.
        max_trials: how many trials there will be.
        **kwargs: those of `keras_tuner.oracles.BayesianOptimizationOracle`.
    """

    def __init__(self, defaults, max_trials, **kwargs):
        num_initial_points = max(3, min(3 * len(defaults), max_trials // 3))
        super().__init__(
            defaults, max_trials=max_trials, num_initial_points=num_initial_points, **kwargs
        )

    def populate_space(self, trial_id):
        completed = {key: t for key, t in self.trials.items() if t.status == "COMPLETED"}
        if self.ongoing_trials and len(completed) >= self.num_initial_points:
            # KerasTuner asks the process about trials under way before it has fitted it.
            trials, ongoing = self.trials, self.ongoing_trials
            self.trials, self.ongoing_trials = completed, {}
            try:
                self._fit()
            finally:
                self.trials, self.ongoing_trials = trials, ongoing
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the process's own optimizer; nothing to be done
            return super().populate_space(trial_id)

    def _fit(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.gpr.fit(*self._vectorize_trials())

    def get_state(self):
        return {**super().get_state(), "random_state": _to_json(self._random_state.get_state())}

    def set_state(self, state):
        super().set_state(state)
        kind, keys, *others = state["random_state"]
        self._random_state.set_state((kind, np.array(keys, np.uint32), *others))


class HyperbandOracle(_Durable, keras_tuner.oracles.HyperbandOracle):
    """Many short trials, of which the best go on.

    A trial goes on as soon as enough of its round are known to be worse. A failed one is:
    KerasTuner waits for it, and after one of three has failed the longest round would never come.

    Args:
        **kwargs: those of `keras_tuner.oracles.HyperbandOracle`.
    """

    def __init__(self, **kwargs):
        super().__init__(max_consecutive_failed_trials=_NEVER, **kwargs)

    def populate_space(self, trial_id):
        self._remove_completed_brackets()
        for bracket in self._brackets:
            if len(bracket["rounds"][0]) < self._get_size(bracket["bracket_num"], 0):
                break  # its first round comes first
            promoted = self._promote(bracket, trial_id)
            if promoted is not None:
                return promoted
        return super().populate_space(trial_id)

    def _promote(self, bracket, trial_id):
        """What a trial of a later round is, None where none can be told yet."""
        number, rounds = bracket["bracket_num"], bracket["rounds"]
        for index in range(1, len(rounds)):
            size, past_size = (self._get_size(number, index - back) for back in (0, 1))
            waiting = self._not_promoted(rounds, index - 1)
            completed = [trial for trial in waiting if trial.status == "COMPLETED"]
            num_worst = sum(trial.status == "FAILED" for trial in waiting)
            if self._is_closed(bracket, index - 1):  # those that will never be count as well
                num_worst += past_size - len(rounds[index - 1])
            is_known = len(completed) + num_worst > past_size - size
            if not completed or len(rounds[index]) >= size or not is_known:
                continue
            best = min(completed, key=lambda trial: trial.score)
            rounds[index].append({"past_id": best.trial_id, "id": trial_id})
            values = {
                **best.hyperparameters.values,
                "tuner/trial_id": best.trial_id,
                "tuner/epochs": self._get_epochs(number, index),
                "tuner/initial_epoch": self._get_epochs(number, index - 1),
                "tuner/bracket": number,
                "tuner/round": index,
            }
            return {"status": "RUNNING", "values": values}
        return None

    def _not_promoted(self, rounds, index):
        """The trials of a round without those that the next one goes on with."""
        following = rounds[index + 1] if index + 1 < len(rounds) else []
        promoted = {entry["past_id"] for entry in following}
        return [self.trials[e["id"]] for e in rounds[index] if e["id"] not in promoted]

    def _is_closed(self, bracket, index):
        """Whether a round will have no more trials than it has."""
        rounds = bracket["rounds"]
        if len(rounds[index]) >= self._get_size(bracket["bracket_num"], index):
            return True
        # Until then one of the round before may still go on.
        return (
            index > 0
            and self._is_closed(bracket, index - 1)
            and all(trial.status == "FAILED" for trial in self._not_promoted(rounds, index - 1))
        )

    @property
    def num_trials(self):
        """How many trials there will be, where none fails."""
        brackets = range(self._get_num_brackets())
        return self.hyperband_iterations * sum(
            self._get_size(bracket, round_)
            for bracket in brackets
            for round_ in range(self._get_num_rounds(bracket))
        )


def _to_json(random_state):
    kind, keys, *others = random_state
    return [kind, keys.tolist(), *others]
