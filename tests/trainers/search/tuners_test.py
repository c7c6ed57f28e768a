"""Tests of searches: what they try, what they go on from, and that nothing stops them for good."""

import contextlib
import json
import math
import os
import signal
from unittest import mock

import pytest

from awd_keras.evaluation import Evaluator
from tests.trainers.search.searches import (
    TUNE,
    Killed,
    make,
    no_training,
    quietly,
    search,
    settings_of,
)
from tests.trainers.training.tiny import assert_same_run, make_corpus, run
from trainers import search as tuning
from trainers.errors import NonFiniteLossError, UserError
from trainers.training import RunFolder, loop


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

    def test_what_is_no_property_of_the_trial_ends_the_search(self, tmp_path):
        def fail(config, folder):
            raise UserError("no space")

        with no_training(on_call=fail), pytest.raises(tuning.TrialError) as error:
            search(make(tuning.RandomSearch, tmp_path / "search", max_trials=3))
        assert isinstance(error.value.__cause__, UserError)
        # And can go on when that is put right.
        with no_training():
            assert len(search(make(tuning.RandomSearch, tmp_path / "search", max_trials=3))) == 3


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


def test_the_files_of_a_search_are_json(tmp_path):
    with no_training():
        search(make(tuning.RandomSearch, tmp_path / "search", max_trials=1))
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text())
    assert not list(tmp_path.rglob("*.partial"))
