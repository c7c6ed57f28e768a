"""Tests of the oracles: what they ask for next, whatever became of the trials before."""

import pytest

from tests.trainers.search.searches import make, no_training, search
from tests.trainers.training.tiny import make_config
from trainers import search as tuning


class TestHyperband:
    @pytest.mark.parametrize("num_failed", [0, 1, 2, 3, 7, 8, 9])
    def test_failed_trials_do_not_keep_the_longest_round_from_coming(self, tmp_path, num_failed):
        config = make_config(epochs=9, num_layers=1)
        tuner = make(tuning.Hyperband, tmp_path / "search", config, ["learning_rate"])
        oracle, sizes, bests = tuner.oracle, {}, {}
        for number in range(tuner.oracle.num_trials):
            trial = oracle.create_trial("tuner0")
            if trial.status == "STOPPED":
                break
            values = trial.hyperparameters.values
            key = values["tuner/bracket"], values["tuner/round"]
            sizes[key] = sizes.get(key, 0) + 1
            if key == (2, 0) and sizes[key] <= num_failed:
                trial.status = "FAILED"
            else:
                score = 100.0 + number if key[1] == 0 else bests[values["tuner/trial_id"]]
                bests[trial.trial_id] = score
                oracle.update_trial(trial.trial_id, {"validation_perplexity": score})
                trial.status = "COMPLETED"
            oracle.end_trial(trial)
        assert oracle.create_trial("tuner0").status == "STOPPED"
        completed = 9 - num_failed
        first = oracle._get_size(2, 0)
        assert sizes[2, 0] == first == 9
        assert sizes.get((2, 1), 0) == min(3, completed)
        assert sizes.get((2, 2), 0) == min(1, completed)
        assert sizes[1, 0] == oracle._get_size(1, 0) and sizes[1, 1] == oracle._get_size(1, 1)
        assert sizes[0, 0] == oracle._get_size(0, 0)

    @pytest.mark.parametrize("worst", ["second", "both"])
    def test_failures_in_a_later_round(self, tmp_path, worst):
        config = make_config(epochs=9, num_layers=1)
        tuner = make(tuning.Hyperband, tmp_path / "search", config, ["learning_rate"])
        oracle, rounds = tuner.oracle, []
        for number in range(tuner.oracle.num_trials):
            trial = oracle.create_trial("tuner0")
            if trial.status == "STOPPED":
                break
            values = trial.hyperparameters.values
            rounds.append((values["tuner/bracket"], values["tuner/round"]))
            count = rounds.count((2, 1))
            fails = rounds[-1] == (2, 1) and (count == 2 or worst == "both" and count < 3)
            if not fails:
                oracle.update_trial(trial.trial_id, {"validation_perplexity": 100.0 + number})
            trial.status = "FAILED" if fails else "COMPLETED"
            oracle.end_trial(trial)
        assert rounds.count((2, 1)) == 3 and rounds.count((2, 2)) == 1


def test_a_parallel_bayesian_search_needs_no_fitted_process(tmp_path):
    # KerasTuner would ask an unfitted process about the trial under way.
    pytest.importorskip("sklearn")
    with no_training(lambda config: config.learning_rate):
        tuner = make(tuning.BayesianOptimization, tmp_path / "search", max_trials=3)
        search(tuner)
        tuner = make(tuning.BayesianOptimization, tmp_path / "search", max_trials=9)
        assert not tuner.oracle.ongoing_trials
        first = tuner.oracle.create_trial("tuner0")
        second = tuner.oracle.create_trial("tuner1")
    assert first.status == second.status == "RUNNING"
    assert first.hyperparameters.values != second.hyperparameters.values
