"""Tests of runs that were stopped: at any moment, they become the run that was not."""

import contextlib
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
from unittest import mock

import pytest

from awd_keras.evaluation import Evaluator
from tests.trainers.training import tiny
from tests.trainers.training.tiny import (
    SETTINGS,
    after_each_step,
    assert_same_run,
    interrupt_after,
    make_config,
    make_corpus,
    rows_without_times,
    run,
)
from trainers.training import RunFolder, loop, read_checkpoint

ROOT = pathlib.Path(__file__).absolute().parents[3]


@contextlib.contextmanager
def interrupt_evaluation_of(token_ids):
    """Inside, Ctrl-C comes while a text is evaluated."""
    evaluate_ = Evaluator.evaluate

    def interrupted(self, ids, *args):
        if ids is token_ids:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate_(self, ids, *args)

    with mock.patch.object(Evaluator, "evaluate", interrupted):
        yield


class TestInterruptedEvaluation:
    def test_the_last_one_of_a_finished_run_goes_on_and_says_so(self, tmp_path):
        corpus, stream = make_corpus(), io.StringIO()
        with interrupt_evaluation_of(corpus.test):
            result = run(tmp_path, make_config(epochs=1), corpus, stream)
        assert result.reason == "finished"
        (line,) = re.findall("interrupted.*", stream.getvalue())
        assert line.startswith("interrupted while testing: this goes on to its end")
        assert "Ctrl-C again to leave at once" in line

    def test_one_within_training_says_so_and_the_run_is_saved(self, tmp_path):
        corpus, stream = make_corpus(), io.StringIO()
        with interrupt_evaluation_of(corpus.validation):
            result = run(tmp_path, make_config(logging_interval=4), corpus, stream)
        assert result.reason == "interrupted"
        first, second = re.findall("interrupted.*", stream.getvalue())
        assert first.startswith("interrupted while validating: this goes on to its end")
        assert second.startswith("interrupted after step 4; saved.")


class TestStopped:
    @pytest.mark.parametrize("name", sorted(SETTINGS))
    def test_continued_it_is_the_unbroken_run(self, unbroken, tmp_path, name):
        config = make_config(**SETTINGS[name])
        # In the first epoch; then, before or after the trigger, in a later one.
        for stop in (9, 34):
            stream = io.StringIO()
            with interrupt_after(stop):
                result = run(tmp_path, config, stream=stream)
            assert result.reason == "interrupted"
            assert RunFolder(tmp_path).read_results()["reason"] == "interrupted"
            assert f"interrupted after step {stop}; saved. The same command" in stream.getvalue()
        stream = io.StringIO()
        result = run(tmp_path, config, stream=stream)
        assert stream.getvalue().startswith("continuing after step 34 (")
        assert result == unbroken(name)[1]
        assert_same_run(tmp_path, unbroken(name)[0].path)

    def test_what_an_interruption_measures_leaves_no_trace(self, tmp_path, monkeypatch):
        # The weights at the interruption are better than all that are on record; the end is not.
        config = make_config(epochs=1, logging_interval=5, trigger="never")
        losses = {5: 3.0, 8: 1.0, 10: 3.5}
        evaluate_validation = loop._Run._evaluate_validation

        def measured(self):
            result = evaluate_validation(self)
            loss = losses.get(self.state.step, 4.0)
            return loop.EvaluationResult(loss * result.num_tokens, result.num_tokens)

        monkeypatch.setattr(loop._Run, "_evaluate_validation", measured)
        unbroken = run(tmp_path / "unbroken", config)
        assert unbroken.validation.loss == 3.0
        with interrupt_after(8):
            assert run(tmp_path / "stopped", config).validation.loss == 1.0
        assert run(tmp_path / "stopped", config) == unbroken
        assert_same_run(tmp_path / "stopped", tmp_path / "unbroken")

    def test_a_second_signal_leaves_at_once(self, tmp_path):
        def interrupt_twice(number):
            if number == 5:  # to this thread: two that come to another may become one
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        with after_each_step(interrupt_twice), pytest.raises(KeyboardInterrupt):
            run(tmp_path, make_config())
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

    def test_terminated_is_interrupted(self, tmp_path):
        def terminate(number):
            if number == 3:
                os.kill(os.getpid(), signal.SIGTERM)

        with after_each_step(terminate):
            assert run(tmp_path, make_config()).reason == "interrupted"
        assert read_checkpoint(RunFolder(tmp_path).last_checkpoint)[1]["state"]["step"] == 3

    @pytest.mark.parametrize("name", ["epoch", "often"])
    def test_more_epochs_are_one_longer_run(self, unbroken, tmp_path, name):
        config = make_config(**SETTINGS[name])
        short = run(tmp_path, config.replace(epochs=2))
        assert short.epochs == 2
        run(tmp_path, config)
        assert_same_run(tmp_path, unbroken(name)[0].path)

    def test_without_the_last_checkpoint_it_begins_again(self, unbroken, tmp_path):
        config = make_config(**SETTINGS["epoch"])
        with interrupt_after(20):
            run(tmp_path, config)
        RunFolder(tmp_path).last_checkpoint.unlink()
        run(tmp_path, config)
        assert_same_run(tmp_path, unbroken("epoch")[0].path)

    def test_without_the_best_checkpoint_it_ends_with_the_last_weights(self, tmp_path):
        config = make_config(epochs=1)
        run(tmp_path, config)
        RunFolder(tmp_path).best_checkpoint.unlink()
        assert run(tmp_path, config).reason == "finished"


# Runs in a process of its own, which has imported TensorFlow but not started it: children are
# forked from it and killed, by themselves in the middle of a system call or from outside.
_KILLING = """
import json, os, pathlib, random, signal, sys, time
from tests.trainers.training import tiny

def child(path, config, function=None, call=None):
    if function is not None:
        original, count = getattr(os, function), [0]
        def kill_instead(*args):
            count[0] += 1
            if count[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args)
        setattr(os, function, kill_instead)
    tiny.run(path, config)

def run(path, config, function=None, call=None, delay=None):
    pid = os.fork()
    if pid == 0:
        try:
            child(path, config, function, call)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if delay is not None:
        last = pathlib.Path(path) / "checkpoints" / "last" / "checkpoint.npz"
        before = last.stat().st_mtime_ns if last.exists() else 0
        while (last.stat().st_mtime_ns if last.exists() else 0) == before:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return "finished"
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

killed = sys.argv[1]
config = tiny.TrainingConfig.from_dict(json.loads(sys.argv[2]))
# The first file of all, half written; the words without their name; a checkpoint half written;
# one without its name.
for function, call in (("fsync", 1), ("replace", 2), ("fsync", 7), ("replace", 12)):
    code = run(killed, config, function, call)
    assert code == -signal.SIGKILL, code
    print("killed in", function, call)
generator = random.Random(5)
for _ in range(2):
    code = run(killed, config, delay=generator.random() * 0.1)
    print("killed with", code)
code = run(killed, config)
assert code == 0, code
"""


class TestKilled:
    def test_at_any_moment_the_same_command_goes_on(self, tmp_path):
        config = make_config(
            num_layers=1,
            checkpoint_minutes=0.0,
            logging_interval=4,
            non_monotone_interval=1,
            learning_rate=20.0,
        )
        run(tmp_path / "unbroken", config)
        settings = json.dumps(config.to_dict())
        result = subprocess.run(
            [sys.executable, "-c", _KILLING, str(tmp_path / "killed"), settings],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert_same_run(tmp_path / "killed", tmp_path / "unbroken")
        log = (tmp_path / "killed" / "log.txt").read_text()
        assert log.count("continuing after step") >= 3


class TestNoSpace:
    def test_the_checkpoint_before_remains_and_the_run_goes_on(
        self, unbroken, tmp_path, monkeypatch
    ):
        config = make_config(**SETTINGS["often"])
        fsync, left = os.fsync, [12]

        def full(file):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, os.strerror(28))
            fsync(file)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path, config)
        monkeypatch.undo()
        assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".partial")]
        assert read_checkpoint(RunFolder(tmp_path).last_checkpoint)[1]["state"]["step"] > 0
        run(tmp_path, config)
        assert_same_run(tmp_path, unbroken("often")[0].path)

    def test_tensorboard_that_cannot_write_is_an_os_error(self, tmp_path):
        (tmp_path / "run").mkdir()
        config = make_config(epochs=1, tensorboard=True)
        RunFolder(tmp_path / "run").begin(config, make_corpus())
        (tmp_path / "run" / "events").write_text("in the way")
        with pytest.raises(OSError, match="events"):
            run(tmp_path / "run", config)


def test_tiny_runs_are_what_the_tests_think(unbroken):
    # If not, the tests of stopping would stop nowhere near the trigger.
    triggered = {name: unbroken(name)[1].triggered_at_step for name in SETTINGS}
    assert 4 < triggered["often"] < 44 and 3 < triggered["monotonic"] < 44
    assert len({json.dumps(rows_without_times(unbroken(name)[0])) for name in SETTINGS}) == 4
    assert tiny.WORDS + 1 == len(make_corpus().vocabulary)
