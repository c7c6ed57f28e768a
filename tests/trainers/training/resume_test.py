"""Tests of runs that were interrupted or killed: resumed, they equal the unbroken run exactly."""

import io
import json
import pathlib
import signal
import subprocess
import sys
from unittest import mock

import pytest

from awd_keras.evaluation import Evaluator
from tests.trainers.training.tiny import (
    after_each_step,
    assert_same_run,
    digests,
    interrupt_after,
    make_config,
    make_corpus,
    rising,
    run,
    validation_losses,
)
from trainers.errors import UserError
from trainers.training import RunFolder, loop, read_checkpoint

ROOT = pathlib.Path(__file__).absolute().parents[3]
SETTINGS = {
    "trigger": {"logging_interval": 4, "non_monotone_interval": 1},
    "epoch": {"trigger": "epoch:1"},
    "stop": {"trigger": "start", "stop": "non_monotonic", "logging_interval": 9},
    "reduction": {"trigger_action": "reduce_learning_rate", "logging_interval": 3},
    "one_cycle": {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "learning_rate_schedule": "one_cycle",
        "momentum": 0.8,
        "momentum_min": 0.7,
        "trigger": "never",
    },
    "cosine": {"learning_rate_schedule": "cosine"},
    "bfloat16": {"dtype": "bfloat16", "trigger": "epoch:1"},
    "qrnn": {"rnn": "qrnn", "tie_weights": False, "trigger": "epoch:1"},
    "adaptive": {"rnn": "gru", "adaptive_softmax_cutoffs": (5,), "trigger": "epoch:1"},
    # All windows have ten words, and the last of an epoch has fewer.
    "xla": {
        "kernel": "xla",
        "trigger": "epoch:1",
        "num_layers": 1,
        "bptt_std": 0.0,
        "bptt_full_probability": 1.0,
    },
}


class TestInterrupted:
    @pytest.mark.parametrize("name", SETTINGS)
    def test_resumed_it_is_the_unbroken_run(self, tmp_path, name):
        config = make_config(**SETTINGS[name])
        with validation_losses(rising):
            unbroken = run(tmp_path / "unbroken", config)
            for step in (9, 20):
                stream = io.StringIO()
                with interrupt_after(step):
                    result = run(tmp_path / "run", config, stream=stream)
                assert result.reason == "interrupted"
                assert f"interrupted after step {step}; saved" in stream.getvalue()
                assert RunFolder(tmp_path / "run").read_results() is None
            stream = io.StringIO()
            assert run(tmp_path / "run", config, stream=stream) == unbroken
        assert stream.getvalue().startswith("resuming after step 20 (")
        assert_same_run(tmp_path / "run", tmp_path / "unbroken")

    def test_nothing_is_evaluated(self, tmp_path, monkeypatch):
        def fail(*_):
            pytest.fail("evaluated")

        monkeypatch.setattr(Evaluator, "evaluate", fail)
        with interrupt_after(3, signal.SIGTERM):
            result = run(tmp_path, make_config())
        assert (result.reason, result.validation, result.test) == ("interrupted", None, None)
        assert read_checkpoint(RunFolder(tmp_path).last_checkpoint)[1]["state"]["step"] == 3

    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_an_evaluation_in_progress_is_aborted(self, tmp_path, monkeypatch, split):
        config, corpus = make_config(logging_interval=5, non_monotone_interval=1), make_corpus()
        evaluate = Evaluator.evaluate
        is_sent = False

        def interrupted(self, token_ids, *arguments):
            nonlocal is_sent
            if token_ids is getattr(corpus, split) and not is_sent:
                is_sent = True
                signal.raise_signal(signal.SIGINT)
            return evaluate(self, token_ids, *arguments)

        monkeypatch.setattr(Evaluator, "evaluate", interrupted)
        result = run(tmp_path / "run", config, corpus)
        assert result.reason == "interrupted"
        if split == "validation":  # and the process that repeats it is killed
            with mock.patch.object(loop._Run, "_save", side_effect=SystemExit):
                with pytest.raises(SystemExit):
                    run(tmp_path / "run", config, corpus)
        run(tmp_path / "run", config, corpus)
        run(tmp_path / "unbroken", config, corpus)
        assert_same_run(tmp_path / "run", tmp_path / "unbroken")

    def test_a_second_signal_acts_at_once(self, tmp_path):
        def interrupt_twice(number):
            if number == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with after_each_step(interrupt_twice), pytest.raises(KeyboardInterrupt):
            run(tmp_path, make_config())
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class TestExtended:
    def test_more_epochs_are_one_longer_run(self, trained, tmp_path):
        config = make_config(trigger="epoch:1")
        assert run(tmp_path, config.replace(epochs=2)).epochs == 2
        run(tmp_path, config)
        assert_same_run(tmp_path, trained[0].path)


class TestBestLost:
    @pytest.mark.parametrize("trigger", ["epoch:1", "never"])
    def test_the_last_weights_are_the_new_best(self, tmp_path, trigger):
        config = make_config(trigger=trigger, epochs=2)
        folder = RunFolder(tmp_path)
        with validation_losses(rising):
            first = run(tmp_path, config)
        folder.best_checkpoint.unlink()
        before = digests(tmp_path)
        with pytest.raises(UserError, match="On record: "):
            run(tmp_path, config.replace(epochs=3), header=["resuming"])
        assert digests(tmp_path) == before
        stream = io.StringIO()
        result = run(tmp_path, config, stream=stream, forget_best=True)
        assert f"starting from the last weights of {tmp_path}: validation" in stream.getvalue()
        assert first.validation.loss == rising(int(folder.read_metrics()[0]["step"]))
        step = read_checkpoint(folder.last_checkpoint)[1]["state"]["step"]
        assert read_checkpoint(folder.best_checkpoint)[1]["step"] == step
        # It is on record, and is not forgotten again.
        assert run(tmp_path, config, forget_best=True) == result
        assert run(tmp_path, config.replace(epochs=3)).epochs == 3


# Runs training again and again in children that are killed, as by kill -9. The parent imports
# TensorFlow without starting it, so that forking is safe and the children start quickly.
_KILLING = """
import json, os, signal, sys
from tests.trainers.training import tiny

def child(path, config, function, call):
    if function is not None:
        original, calls = getattr(os, function), 0
        def kill_instead(*args):
            nonlocal calls
            calls += 1
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args)
        setattr(os, function, kill_instead)
    tiny.run(path, config)

def run(path, config, function=None, call=None):
    pid = os.fork()
    if pid == 0:
        try:
            child(path, config, function, call)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

killed = sys.argv[1]
config = tiny.TrainingConfig.from_dict(json.loads(sys.argv[2]))
# While a file is half written, and before it takes the place of the old one.
for function, call in (("fsync", 9), ("replace", 6), ("fsync", 8)):
    code = run(killed, config, function, call)
    assert code == -signal.SIGKILL, code
assert run(killed, config) == 0
"""


class TestKilled:
    def test_resumed_it_is_the_unbroken_run(self, tmp_path):
        config = make_config(num_layers=1, checkpoint_minutes=0.0, logging_interval=4)
        run(tmp_path / "unbroken", config)
        result = subprocess.run(
            [sys.executable, "-c", _KILLING, tmp_path / "run", json.dumps(config.to_dict())],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert_same_run(tmp_path / "run", tmp_path / "unbroken")
        assert (tmp_path / "run" / "log.txt").read_text().count("resuming after step") == 3
