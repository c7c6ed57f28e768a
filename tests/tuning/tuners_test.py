"""Tests of searches: what they try, what they go on from, and that nothing stops them for good."""

import contextlib
import io
import json
import math
import os
import signal
from unittest import mock

import keras
import keras_tuner
import pytest

from awd_keras import factory, tuning
from awd_keras.config import ConfigError
from awd_keras.evaluation import Evaluator
from awd_keras.training import NonFiniteLossError, RunFolder, loop
from awd_keras.training.run_folder import RunFolderError
from awd_keras.tuning import hypermodel as hypermodel_module
from tests.training.tiny import WORDS, assert_same_run, make_config, make_corpus, run

TUNE = ["learning_rate", "weight_dropout"]


@contextlib.contextmanager
def quietly():
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def make(kind, path, config=None, tune=TUNE, **kwargs):
    config = config or make_config(epochs=1, num_layers=1)
    with quietly():
        hypermodel = tuning.AWDLSTMHyperModel(config, WORDS + 1, tune)
        return kind(hypermodel, path, **kwargs)


def search(tuner):
    with quietly():
        tuner.search(make_corpus())
    return tuning.trial_results(tuner.oracle, 1)


@contextlib.contextmanager
def no_training(perplexity=lambda config: 100.0, on_call=None):
    """Inside, trials have no model: `perplexity(config)` says what comes out."""

    def train(model, optimizer, corpus, config, folder):
        folder.begin(config, corpus)
        if on_call is not None:
            on_call(config, folder)
        result = mock.Mock(reason="finished")
        result.validation.perplexity = perplexity(config)
        return result

    with contextlib.ExitStack() as stack:
        for module, name, value in (
            (hypermodel_module, "train_and_evaluate", train),
            (factory, "build_model", mock.Mock()),
            (factory, "build_optimizer", mock.Mock()),
            (keras.backend, "clear_session", mock.Mock()),  # a second each
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def settings_of(tuner):
    """What was tried, in the order of the trials."""
    found = {r.trial_id: r.settings for r in tuning.trial_results(tuner.oracle, 1)}
    return [found[trial_id] for trial_id in tuner.oracle.start_order]


class Killed(BaseException):
    """The end of the process, as far as the search is concerned."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "search"
    tuner = make(tuning.RandomSearch, path, max_trials=3)
    return path, tuner, search(tuner)


class TestTrials:
    def test_the_first_has_the_settings_that_the_search_starts_from(self, searched):
        _, tuner, _ = searched
        config = tuner.hypermodel.base_config
        first, *others = settings_of(tuner)
        assert first == {name: getattr(config, name) for name in TUNE}
        assert all(other != first for other in others)

    def test_the_perplexities_are_those_of_the_runs(self, searched):
        _, tuner, results = searched
        assert [r.status for r in results] == ["COMPLETED"] * 3
        assert results == sorted(results, key=lambda r: r.perplexity)
        for result in results:
            folder = RunFolder(tuner.run_folder(result.trial_id))
            assert folder.read_results()["validation"]["perplexity"] == result.perplexity
            config = folder.read_config()[0]
            assert {name: getattr(config, name) for name in TUNE} == result.settings

    def test_a_trial_is_the_run_that_its_settings_make(self, searched, tmp_path):
        _, tuner, results = searched
        config = tuner.hypermodel.base_config.replace(**results[0].settings)
        run(tmp_path / "run", config)
        assert_same_run(tuner.run_folder(results[0].trial_id), tmp_path / "run")

    def test_the_best_model_has_its_best_weights(self, searched):
        _, tuner, results = searched
        with quietly():
            (model,) = tuner.get_best_models()
        config = tuner.hypermodel.base_config
        loss = Evaluator(model).evaluate(make_corpus().validation, config.validation_batch_size)
        assert loss.perplexity == pytest.approx(results[0].perplexity, rel=1e-6)

    def test_again_it_makes_nothing_anew_and_more_trials_go_on(self, searched):
        path, _, results = searched
        with no_training(on_call=lambda *_: pytest.fail("trained again")):
            assert search(make(tuning.RandomSearch, path, max_trials=3)) == results
        with no_training(lambda config: 1000.0):
            more = search(make(tuning.RandomSearch, path, max_trials=4))
        assert more[:3] == results and len(more) == 4


@pytest.mark.parametrize(
    "kind",
    [tuning.RandomSearch, pytest.param(tuning.BayesianOptimization, marks=pytest.mark.slow)],
)
class TestStopped:
    def test_killed_in_a_trial_it_is_the_unbroken_search(self, tmp_path, kind):
        if kind is tuning.BayesianOptimization:
            pytest.importorskip("sklearn")

        def perplexity(config):
            return 100 + 10 * abs(math.log10(config.learning_rate) - 1) + config.weight_dropout

        with no_training(perplexity):
            unbroken = make(kind, tmp_path / "unbroken", max_trials=7)
            search(unbroken)
        calls = []

        def kill(config, folder):
            calls.append(str(folder.path))
            if len(calls) in (1, 5):
                raise Killed

        for _ in range(2):
            with no_training(perplexity, kill), pytest.raises(Killed):
                search(make(kind, tmp_path / "killed", max_trials=7))
        with no_training(perplexity, kill):
            tuner = make(kind, tmp_path / "killed", max_trials=7)
            search(tuner)
        assert settings_of(tuner) == settings_of(unbroken)
        # Each of the seven once, and the two that were killed once more.
        assert len(calls) == 9 and calls[0] == calls[1] and calls[4] == calls[5]
        assert len(set(calls)) == 7


class TestInterrupted:
    def test_inside_a_trial_it_goes_on_bit_for_bit(self, tmp_path):
        unbroken = make(tuning.RandomSearch, tmp_path / "unbroken", max_trials=2)
        search(unbroken)
        make_train_step, count = loop.make_train_step, [0]

        def make_step(*args, **kwargs):
            train_step = make_train_step(*args, **kwargs)

            def step(*values):
                count[0] += 1
                if count[0] == 20:  # in the second trial
                    os.kill(os.getpid(), signal.SIGINT)
                return train_step(*values)

            return step

        with mock.patch.object(loop, "make_train_step", make_step):
            with pytest.raises(KeyboardInterrupt):
                search(make(tuning.RandomSearch, tmp_path / "stopped", max_trials=2))
            stopped_at = count[0]
            tuner = make(tuning.RandomSearch, tmp_path / "stopped", max_trials=2)
            search(tuner)
        assert stopped_at == 20
        assert [r.perplexity for r in tuning.trial_results(tuner.oracle, 1)] == [
            r.perplexity for r in tuning.trial_results(unbroken.oracle, 1)
        ]
        for trial_id in tuner.oracle.start_order:
            assert_same_run(tuner.run_folder(trial_id), unbroken.run_folder(trial_id))

    @pytest.mark.parametrize("call", range(1, 9))
    def test_killed_between_its_files(self, tmp_path, call):
        # Before each of the files of the first trials takes its name.
        replace, count = os.replace, [0]

        def kill_instead(*args):
            count[0] += 1
            if count[0] == call:
                raise Killed
            return replace(*args)

        with no_training():
            with mock.patch.object(os, "replace", kill_instead), pytest.raises(Killed):
                search(make(tuning.RandomSearch, tmp_path / "search", max_trials=3))
            results = search(make(tuning.RandomSearch, tmp_path / "search", max_trials=3))
            expected = search(make(tuning.RandomSearch, tmp_path / "unbroken", max_trials=3))
        assert sorted(map(str, results)) == sorted(map(str, expected))


class TestDivergence:
    def test_the_search_goes_on(self, tmp_path):
        def diverge(config, folder):
            if len(os.listdir(tmp_path / "search")) < 8:
                raise NonFiniteLossError("no number")

        with no_training(on_call=diverge):
            results = search(make(tuning.RandomSearch, tmp_path / "search", max_trials=7))
        statuses = [r.status for r in results]
        assert statuses.count("FAILED") >= 4 and statuses.count("COMPLETED") >= 1
        assert results[0].perplexity == 100.0 and results[-1].perplexity is None

    def test_a_real_one_is_a_failed_trial(self, tmp_path):
        config = make_config(epochs=1, num_layers=1, learning_rate=1e30)
        (result,) = search(make(tuning.RandomSearch, tmp_path / "search", config, max_trials=1))
        assert (result.status, result.perplexity) == ("FAILED", None)

    def test_what_is_no_property_of_the_trial_ends_the_search(self, tmp_path):
        def fail(config, folder):
            raise RunFolderError("no space")

        with no_training(on_call=fail), pytest.raises(tuning.TrialError) as error:
            search(make(tuning.RandomSearch, tmp_path / "search", max_trials=3))
        assert isinstance(error.value.__cause__, RunFolderError)
        # And can go on when that is put right.
        with no_training():
            assert len(search(make(tuning.RandomSearch, tmp_path / "search", max_trials=3))) == 3

    def test_a_text_too_short_for_what_the_search_has_chosen_is_a_failed_trial(self, tmp_path):
        def too_short(config, folder):
            if config.batch_size > 4:
                raise ConfigError("The train text of tiny is too short")

        with no_training(on_call=too_short):
            kind, path = tuning.RandomSearch, tmp_path / "search"
            results = search(make(kind, path, tune=["batch_size"], max_trials=3))
            assert [r.status for r in results] == ["COMPLETED", "FAILED", "FAILED"]

    def test_a_text_too_short_for_what_it_starts_from_ends_the_search(self, tmp_path):
        def too_short(config, folder):
            raise ConfigError("The train text of tiny is too short")

        with no_training(on_call=too_short), pytest.raises(tuning.TrialError, match="too short"):
            search(make(tuning.RandomSearch, tmp_path / "search", tune=["batch_size"]))


@contextlib.contextmanager
def as_chief():
    """Inside, this process is the chief, and makes the trials itself."""
    names = {"TUNER_ID": "chief", "ORACLE_IP": "127.0.0.1", "ORACLE_PORT": "1"}
    with contextlib.ExitStack() as stack:
        variables = {f"KERASTUNER_{name}": value for name, value in names.items()}
        stack.enter_context(mock.patch.dict(os.environ, variables))
        yield


class TestAloneAndWithAChief:
    @pytest.mark.parametrize("chief_first", [False, True])
    def test_one_goes_on_with_what_the_other_made(self, tmp_path, chief_first):
        def alone():
            return make(tuning.RandomSearch, tmp_path / "search", max_trials=4)

        def chief():
            with as_chief():
                return alone()

        first, second = (chief, alone) if chief_first else (alone, chief)
        with no_training():
            tuner = first()
            for _ in range(2):
                trial = tuner.oracle.create_trial("tuner0")
                tuner.oracle.update_trial(trial.trial_id, {"validation_perplexity": 100.0})
                trial.status = "COMPLETED"
                tuner.oracle.end_trial(trial)
            tuner.save()
            again = second()
            found = tuning.trial_results(again.oracle, 1)
            assert found == tuning.trial_results(tuner.oracle, 1) and len(found) == 2
            assert again.oracle.create_trial("tuner1").trial_id not in tuner.oracle.trials

    @pytest.mark.parametrize("tuner_id", ["oracle", "search", "tuner0"])
    def test_a_worker_writes_nothing_of_the_chiefs(self, tmp_path, tuner_id):
        with no_training():
            with as_chief():
                make(tuning.RandomSearch, tmp_path / "search").save()
            (tmp_path / "search" / "search.json").write_text("{}")
            files = sorted((tmp_path / "search").iterdir())
            before = [file.read_text() for file in files]
            with as_chief(), mock.patch.dict(os.environ, {"KERASTUNER_TUNER_ID": tuner_id}):
                make(tuning.RandomSearch, tmp_path / "search").save()
        assert sorted((tmp_path / "search").iterdir()) == files
        assert [file.read_text() for file in files] == before

    def test_a_chief_that_does_not_answer_is_told(self, tmp_path):
        import grpc

        class Away(grpc.RpcError):
            def code(self):
                return grpc.StatusCode.UNAVAILABLE

            def details(self):
                return "failed to connect"

        with no_training():
            tuner = make(tuning.RandomSearch, tmp_path / "search")
            with mock.patch.object(tuner.oracle, "create_trial", side_effect=Away):
                with pytest.raises(tuning.ChiefError, match="UNAVAILABLE: failed .* Start it"):
                    search(tuner)


@pytest.fixture(scope="module")
def hyperband(tmp_path_factory):
    path = tmp_path_factory.mktemp("hyperband") / "search"
    config = make_config(epochs=4, num_layers=1, logging_interval=5, non_monotone_interval=1)
    tuner = make(tuning.Hyperband, path, config, tune=["learning_rate"], factor=4)
    steps = [0]
    make_train_step = loop.make_train_step

    def make_step(*args, **kwargs):
        train_step = make_train_step(*args, **kwargs)

        def step(*values):
            steps[0] += 1
            return train_step(*values)

        return step

    with mock.patch.object(loop, "make_train_step", make_step):
        return tuner, search(tuner), steps[0]


class TestHyperband:
    def later(self, tuner):
        return [
            trial for trial in tuner.oracle.trials.values()
            if "tuner/trial_id" in trial.hyperparameters.values
        ]  # fmt: skip

    def test_all_trials_are_made(self, hyperband):
        tuner, results, _ = hyperband
        assert len(results) == tuner.oracle.num_trials
        assert {r.epochs for r in results} == {1, 4}
        assert all(set(r.settings) == {"learning_rate"} for r in results)

    def test_a_later_round_is_the_unbroken_run(self, hyperband, tmp_path):
        tuner, _, _ = hyperband
        (trial, *_) = self.later(tuner)
        values = trial.hyperparameters.values
        config = tuner.hypermodel.base_config.replace(learning_rate=values["learning_rate"])
        run(tmp_path / "run", config)
        assert_same_run(tuner.run_folder(trial.trial_id), tmp_path / "run")

    def test_no_step_is_made_twice(self, hyperband):
        tuner, _, steps = hyperband
        made = 0
        for trial in tuner.oracle.trials.values():
            values = trial.hyperparameters.values
            rows = RunFolder(tuner.run_folder(trial.trial_id)).last_checkpoint
            from awd_keras.training import read_checkpoint

            total = read_checkpoint(rows)[1]["state"]["step"]
            made += total
            if "tuner/trial_id" in values:
                before = RunFolder(tuner.run_folder(values["tuner/trial_id"])).last_checkpoint
                made -= read_checkpoint(before)[1]["state"]["step"]
        assert steps == made

    def test_killed_while_it_takes_a_run_over(self, hyperband, tmp_path):
        tuner, _, _ = hyperband
        (trial, *_) = self.later(tuner)
        workdir = tmp_path / "trial" / "run"
        workdir.parent.mkdir()
        past = trial.hyperparameters.values["tuner/trial_id"]
        with mock.patch("shutil.copytree", side_effect=Killed), pytest.raises(Killed):
            tuner._go_on_from(past, workdir)
        (tmp_path / "trial" / "run.partial").mkdir()
        (tmp_path / "trial" / "run.partial" / "half").write_text("")
        tuner._go_on_from(past, workdir)
        names = {path.name for path in workdir.iterdir()}
        assert {"config.json", "metrics.csv", "checkpoints"} <= names
        assert not names & {"half", "results.json", "curves.png"}

    def test_killed_in_a_trial_it_is_the_unbroken_search(self, tmp_path):
        config = make_config(epochs=4, num_layers=1)

        def make_one(name):
            return make(tuning.Hyperband, tmp_path / name, config, ["learning_rate"], factor=2)

        def perplexity(config):
            return 100 + config.learning_rate / config.epochs

        with no_training(perplexity):
            unbroken = make_one("unbroken")
            search(unbroken)
        calls = []

        def kill(config, folder):
            calls.append(str(folder.path))
            if len(calls) in (2, 6, 9):
                raise Killed

        for _ in range(3):
            with no_training(perplexity, kill), pytest.raises(Killed):
                search(make_one("killed"))
        with no_training(perplexity, kill):
            tuner = make_one("killed")
            search(tuner)
        values = [
            {key: trial.hyperparameters.values for key, trial in each.oracle.trials.items()}
            for each in (tuner, unbroken)
        ]
        assert values[0] == values[1]
        assert len(values[0]) == tuner.oracle.num_trials == len(calls) - 3

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

    def test_a_schedule_spans_the_longest_trial(self, tmp_path):
        config = make_config(epochs=9, learning_rate_schedule="cosine", trigger="never")
        tuner = make(tuning.Hyperband, tmp_path / "search", config, tune=["learning_rate"])
        assert tuner.hypermodel.base_config.schedule_length == 9
        assert tuner.hypermodel.base_config.replace(epochs=3).schedule_length == 9


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


def test_hparams_are_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = tuning.TrialResult("3", "COMPLETED", 2, 98.5, {"ar_alpha": 2.0, "tie_weights": True})
    tuning.write_hparams(tmp_path / "events", result)
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "validation_perplexity" in events.Tags()["tensors"]


def test_the_files_of_a_search_are_json(tmp_path):
    with no_training():
        search(make(tuning.RandomSearch, tmp_path / "search", max_trials=1))
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text())
    assert not list(tmp_path.rglob("*.partial"))
