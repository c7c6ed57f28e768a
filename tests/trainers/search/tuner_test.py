"""Tests of the tuner whose trials are run folders."""

import math
from unittest import mock

import keras
import keras_tuner
import pytest

from tests.trainers.training.tiny import interrupt_after, make_config, make_corpus
from trainers.errors import NonFiniteLossError, UserError
from trainers.search import tuner as tuner_module
from trainers.search.tuner import RunFolderTuner, format_value, make_oracle, trial_results
from trainers.training import factory

TUNE = ("learning_rate", "weight_dropout")
CONFIG = make_config(epochs=1, num_layers=1)


def make_tuner(path, kind="random", config=CONFIG, **options):
    oracle = make_oracle(kind, config, TUNE, **{"seed": 1, "max_trials": 3, **options})
    oracle.verbose = 0
    return RunFolderTuner(oracle, config, path / "search", lambda: None)


@pytest.fixture
def no_training(monkeypatch):
    """Function that replaces training by a function of the `TrainingConfig` and the folder."""

    def replace(perplexity):
        def train(model, optimizer, corpus, config, folder, evaluate_test):
            assert not evaluate_test
            folder.begin(config, corpus)
            result = mock.Mock(reason="finished")
            result.validation.perplexity = perplexity(config, folder)
            return result

        monkeypatch.setattr(tuner_module, "train_and_evaluate", train)
        monkeypatch.setattr(factory, "build_model", mock.Mock())
        monkeypatch.setattr(factory, "build_optimizer", mock.Mock())
        monkeypatch.setattr(keras.backend, "clear_session", mock.Mock())

    return replace


@pytest.mark.parametrize("kind", ["random", "bayesian"])
def test_the_first_trial_has_the_defaults(tmp_path, no_training, kind):
    if kind == "bayesian":
        pytest.importorskip("sklearn")
    no_training(lambda config, folder: 100.0 + config.learning_rate)
    tuner = make_tuner(tmp_path, kind, max_trials=5)
    tuner.search(make_corpus())
    results = {r["trial"]: r for r in trial_results(tuner.oracle, 1)}
    assert len(results) == 5
    assert results["0"]["learning_rate"] == CONFIG.learning_rate
    assert results["0"]["weight_dropout"] == CONFIG.weight_dropout
    for trial_id, result in results.items():
        config = tuner.run_folder(trial_id).read_config()[0]
        assert config.learning_rate == result["learning_rate"]
        assert result["validation_perplexity"] == pytest.approx(100.0 + config.learning_rate)


def test_a_larger_search_keeps_the_finished_trials(tmp_path, no_training):
    no_training(lambda config, folder: 100.0)
    make_tuner(tmp_path, max_trials=2).search(make_corpus())
    trained = []
    no_training(lambda config, folder: trained.append(folder.path.parent.name) or 90.0)
    tuner = make_tuner(tmp_path, max_trials=3)
    tuner.search(make_corpus())
    assert trained == ["trial_2"]
    assert [r["trial"] for r in trial_results(tuner.oracle, 1)] == ["2", "0", "1"]


def test_an_interrupted_trial_resumes(tmp_path, capfd):
    with interrupt_after(5), pytest.raises(KeyboardInterrupt):
        make_tuner(tmp_path, max_trials=1).search(make_corpus())
    tuner = make_tuner(tmp_path, max_trials=1)
    tuner.search(make_corpus())
    log = tuner.run_folder("0").log_file.read_text()
    assert "after step 5" in log
    (result,) = trial_results(tuner.oracle, 1)
    assert result["status"] == "COMPLETED"
    results = tuner.run_folder("0").read_results()
    assert results["test"] is None
    assert result["validation_perplexity"] == results["validation"]["perplexity"]


@pytest.mark.parametrize("error", [NonFiniteLossError("diverged"), UserError("too short")])
def test_failed_trials_do_not_end_the_search(tmp_path, no_training, capsys, error):
    def perplexity(config, folder):
        if folder.path.parent.name != "trial_4":
            raise error
        return 90.0

    no_training(perplexity)
    tuner = make_tuner(tmp_path, max_trials=5)
    tuner.search(make_corpus())
    best, *others = trial_results(tuner.oracle, 1)
    assert (best["trial"], best["status"]) == ("4", "COMPLETED")
    assert {(r["status"], r["validation_perplexity"]) for r in others} == {("FAILED", None)}
    streams = capsys.readouterr()
    assert f"trial 0 failed: {error}" in streams.out and "Traceback" not in streams.err


def test_other_errors_end_the_search(tmp_path, no_training):
    def perplexity(config, folder):
        raise ZeroDivisionError("a bug")

    no_training(perplexity)
    with pytest.raises(keras_tuner.errors.FatalError, match="a bug") as caught:
        make_tuner(tmp_path).search(make_corpus())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_hyperband_continues_its_best_trials(tmp_path, no_training):
    copied = {}

    def perplexity(config, folder):
        marker = folder.path / "marker"
        if config.epochs > 1:
            copied[folder.path.parent.name] = marker.exists() and marker.read_text()
        marker.write_text(folder.path.parent.name)
        return 100.0 + config.weight_dropout / config.epochs

    no_training(perplexity)
    config = CONFIG.replace(epochs=3, learning_rate_schedule="cosine")
    tuner = make_tuner(tmp_path, "hyperband", config, factor=3)
    tuner.search(make_corpus())
    results = trial_results(tuner.oracle, 1)
    assert {r["epochs"] for r in results} == {1, 3}
    promoted = {
        f"trial_{trial.trial_id}": f"trial_{trial.hyperparameters.values['tuner/trial_id']}"
        for trial in tuner.oracle.trials.values()
        if "tuner/trial_id" in trial.hyperparameters.values
    }
    assert promoted and promoted.items() <= copied.items()
    for result in results:
        assert tuner.run_folder(result["trial"]).read_config()[0].schedule_epochs == 3


def test_a_space_without_the_default():
    with pytest.raises(UserError, match="weight_decay"):
        make_oracle("random", CONFIG.replace(weight_decay=0.0), ["weight_decay"], seed=1)


def test_results():
    def trial(trial_id, status, score, **values):
        trial = mock.Mock(trial_id=trial_id, status=status, score=score)
        trial.hyperparameters.values = values
        return trial

    trials = [
        trial("0", "COMPLETED", 90.5, bptt=70),
        trial("1", "FAILED", math.nan, bptt=35),
        trial("2", "COMPLETED", 88.123456789, **{"bptt": 20, "tuner/epochs": 9}),
    ]
    results = trial_results(mock.Mock(trials={t.trial_id: t for t in trials}), 3)
    assert [list(map(format_value, result.values())) for result in results] == [
        ["2", "COMPLETED", "9", "88.12", "20"],
        ["0", "COMPLETED", "3", "90.5", "70"],
        ["1", "FAILED", "3", "-", "35"],
    ]
