"""Tests of a trial: which failures are its own, and KerasTuner's own tuners with it."""

import keras_tuner
import pytest

from awd_keras.evaluation import Evaluator
from tests.trainers.search.searches import TUNE, make, no_training, quietly, search
from tests.trainers.training.tiny import WORDS, make_config, make_corpus
from trainers import search as tuning
from trainers.errors import UserError


class TestFailedTrials:
    def test_a_real_one_is_a_failed_trial(self, tmp_path):
        config = make_config(epochs=1, num_layers=1, learning_rate=1e30)
        (result,) = search(make(tuning.RandomSearch, tmp_path / "search", config, max_trials=1))
        assert (result.status, result.perplexity) == ("FAILED", None)

    def test_a_text_too_short_for_what_the_search_has_chosen_is_a_failed_trial(self, tmp_path):
        def too_short(config, folder):
            if config.batch_size > 4:
                raise UserError("The train text of tiny is too short")

        with no_training(on_call=too_short):
            kind, path = tuning.RandomSearch, tmp_path / "search"
            results = search(make(kind, path, tune=["batch_size"], max_trials=3))
            assert [r.status for r in results] == ["COMPLETED", "FAILED", "FAILED"]

    def test_a_text_too_short_for_what_it_starts_from_ends_the_search(self, tmp_path):
        def too_short(config, folder):
            raise UserError("The train text of tiny is too short")

        with no_training(on_call=too_short), pytest.raises(tuning.TrialError, match="too short"):
            search(make(tuning.RandomSearch, tmp_path / "search", tune=["batch_size"]))


def test_keras_tuners_own_tuner_keeps_the_best_weights(tmp_path):
    config = make_config(epochs=1, num_layers=1)
    hypermodel = tuning.AWDLSTMHyperModel(config, WORDS + 1, TUNE)
    with quietly():
        tuner = keras_tuner.RandomSearch(
            hypermodel, objective=tuning.objective(), max_trials=1, directory=tmp_path
        )
        tuner.search(make_corpus(), verbose=0)
        (model,) = tuner.get_best_models()
        (trial,) = tuner.oracle.get_best_trials()
    loss = Evaluator(model).evaluate(make_corpus().validation, config.validation_batch_size)
    assert loss.perplexity == pytest.approx(trial.score, rel=1e-6)
