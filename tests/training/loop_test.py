"""Tests of the loop: a run that was stopped, at any moment, is the run that was not."""

import contextlib
import io
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

from awd_keras.config import ConfigError
from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.evaluation import Evaluator, evaluate
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.training import (
    CheckpointError,
    NonFiniteLossError,
    RunFolder,
    RunFolderError,
    curves,
    loop,
    read_checkpoint,
)
from awd_keras.training.training_state import load_weights
from tests.training import tiny
from tests.training.tiny import (
    after_each_step,
    assert_same_run,
    interrupt_after,
    make_config,
    make_corpus,
    make_texts,
    rows_without_times,
    run,
)

ROOT = pathlib.Path(__file__).absolute().parents[2]

# By name: settings whose runs are stopped and compared. The trigger fires in each but `never`.
SETTINGS = {
    "often": {"logging_interval": 4, "non_monotone_interval": 1, "learning_rate": 20.0},
    "epoch": {"trigger": "epoch:1"},
    "monotonic": {"trigger": "monotonic", "logging_interval": 3, "learning_rate": 20.0},
    "never": {"trigger": "never", "logging_interval": 7, "learning_rate_drop_epochs": (1, 2)},
}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """`unbroken(name)`: folder, result and output of an uninterrupted run, made once."""
    made = {}

    def get(name):
        if name not in made:
            path = tmp_path_factory.mktemp(name)
            stream = io.StringIO()
            result = run(path, make_config(**SETTINGS[name]), stream=stream)
            made[name] = RunFolder(path), result, stream.getvalue()
        return made[name]

    return get


def num_steps(config, corpus):
    """Steps of each epoch."""
    columns = batchify(corpus.train, config.batch_size).shape[1] - 1
    return [
        len(
            bptt_windows(columns, config.bptt, config.seed, epoch, config.bptt_std, config.bptt_min)
        )
        for epoch in range(config.epochs)
    ]


def read_rows(folder):
    return [{name: float(value) for name, value in row.items()} for row in folder.read_metrics()]


class TestUnbroken:
    def test_a_row_for_each_epoch(self, unbroken):
        folder, _, _ = unbroken("epoch")
        config, corpus = make_config(), make_corpus()
        rows = read_rows(folder)
        steps = num_steps(config, corpus)
        assert [row["epoch"] for row in rows] == [1, 2, 3]
        assert [row["step"] for row in rows] == np.cumsum(steps).tolist()
        tokens = config.batch_size * (batchify(corpus.train, config.batch_size).shape[1] - 1)
        assert [row["tokens"] for row in rows] == [tokens, 2 * tokens, 3 * tokens]
        # The trigger fires after the first validation: its row is not yet averaged.
        assert [row["averaging"] for row in rows] == [0, 1, 1]
        assert rows[0]["validation_perplexity"] == rows[0]["raw_validation_perplexity"]
        assert rows[1]["validation_perplexity"] != rows[1]["raw_validation_perplexity"]
        for row in rows:
            assert row["validation_perplexity"] == math.exp(row["validation_loss"])

    def test_a_row_for_each_interval(self, unbroken):
        folder, _, _ = unbroken("often")
        total = sum(num_steps(make_config(), make_corpus()))
        rows = read_rows(folder)
        assert [row["step"] for row in rows] == list(range(4, total + 1, 4))
        assert rows[0]["epoch"] == pytest.approx(rows[0]["tokens"] / rows[-1]["tokens"] *
                                                 rows[-1]["epoch"], abs=2e-4)  # fmt: skip

    def test_learning_rates_drop_after_the_named_epochs(self, unbroken):
        rates = {
            math.ceil(row["epoch"] - 1e-9): row["learning_rate"]
            for row in read_rows(unbroken("never")[0])
            if row["epoch"] % 1
        }
        assert rates == pytest.approx({1: 10.0, 2: 1.0, 3: 0.1})

    def test_results(self, unbroken):
        folder, result, output = unbroken("epoch")
        assert folder.read_results() == result.to_dict()
        steps = num_steps(make_config(), make_corpus())
        assert result.reason == "finished" and result.epochs == 3
        assert result.triggered_at_step == steps[0]
        assert set(result.to_dict()["test"]) == {"loss", "perplexity", "num_tokens"}
        assert f"averaging starts at step {steps[0]}: as asked, after epoch 1" in output
        assert folder.log_file.read_text() == output

    def test_never_is_never_averaged(self, unbroken):
        folder, result, output = unbroken("never")
        assert result.triggered_at_step is None
        assert "averaging" not in output
        assert folder.read_results()["triggered_at_step"] is None

    @pytest.mark.parametrize("name", ["often", "monotonic"])
    def test_the_trigger_fires_from_the_record_and_shows_it(self, unbroken, name):
        folder, result, output = unbroken(name)
        rows = read_rows(folder)
        losses = [row["validation_loss"] for row in rows]
        n = SETTINGS[name].get("non_monotone_interval", 0)
        fires = [
            k for k in range(len(losses)) if k > n and losses[k] > min(losses[: k - n])
        ][0]  # fmt: skip
        assert result.triggered_at_step == rows[fires]["step"]
        assert [row["averaging"] for row in rows] == [float(k > fires) for k in range(len(rows))]
        (line,) = re.findall("averaging starts.*", output)
        record = " ".join(f"{loss:.4f}" for loss in losses[:fires])
        assert line == (
            f"averaging starts at step {result.triggered_at_step}: validation loss "
            f"{losses[fires]:.4f} is above {min(losses[: fires - n]):.4f}, the smallest on record"
            f"{f' without the last {n}' if n else ''}; record: {record}"
        )
        assert output.index(line) > output.index(f"step {result.triggered_at_step:7,}")

    def test_the_best_weights_are_those_of_the_results(self, unbroken):
        folder, result, _ = unbroken("often")
        config, corpus = make_config(), make_corpus()
        model = AWDLSTMLanguageModel(
            len(corpus.vocabulary), embedding_dim=6, hidden_dim=8, num_layers=2
        )
        facts = load_weights(folder.best_checkpoint, model)
        assert evaluate(model, corpus.validation, config.validation_batch_size) == (
            result.validation
        )
        assert evaluate(model, corpus.test, config.test_batch_size) == result.test
        assert facts["validation"]["total_loss"] == result.validation.total_loss
        assert result.validation.loss <= min(row["validation_loss"] for row in read_rows(folder))

    def test_no_carriage_returns_away_from_a_terminal(self, unbroken):
        assert "\r" not in unbroken("often")[2]


class TestMechanics:
    def test_each_epoch_starts_from_zero_states_and_reads_every_token(self, tmp_path, monkeypatch):
        calls = []
        make_train_step = loop.make_train_step

        def make(model, optimizer, **kwargs):
            train_step = make_train_step(model, optimizer, **kwargs)

            def record(inputs, targets, states, learning_rate, step):
                results = train_step(inputs, targets, states, learning_rate, step)
                calls.append((inputs.numpy(), targets.numpy(), states, float(learning_rate),
                              int(step), results))  # fmt: skip
                return results

            return record

        monkeypatch.setattr(loop, "make_train_step", make)
        config, corpus = make_config(epochs=2), make_corpus()
        run(tmp_path, config, corpus)
        columns = batchify(corpus.train, config.batch_size)
        first, second = num_steps(config, corpus)
        assert [call[4] for call in calls] == list(range(first + second))
        for epoch_calls in (calls[:first], calls[first:]):
            np.testing.assert_array_equal(
                np.concatenate([call[0] for call in epoch_calls], axis=1), columns[:, :-1]
            )
            np.testing.assert_array_equal(
                np.concatenate([call[1] for call in epoch_calls], axis=1), columns[:, 1:]
            )
            assert all(not np.any(state) for pair in epoch_calls[0][2] for state in pair)
            for before, after in zip(epoch_calls, epoch_calls[1:]):
                for pair, expected in zip(after[2], before[5][2]):
                    np.testing.assert_array_equal(pair, expected)
            assert np.any(epoch_calls[1][2][0][0])
        for inputs, _, _, rate, _, _ in calls:
            assert rate == pytest.approx(10.0 * inputs.shape[1] / 10, rel=1e-6)
        # The row's loss is the mean over the tokens, whatever the windows.
        rows = read_rows(RunFolder(tmp_path))
        for row, epoch_calls in zip(rows, (calls[:first], calls[first:])):
            losses = [float(call[5][0]) for call in epoch_calls]
            weights = [call[0].size for call in epoch_calls]
            assert row["train_loss"] == pytest.approx(np.average(losses, weights=weights), 1e-12)

    def test_the_average_is_the_mean_of_the_weights_since_the_trigger(self, tmp_path, monkeypatch):
        config, corpus = make_config(epochs=2, trigger="epoch:1"), make_corpus()
        model, optimizer = tiny.make_model(config)
        iterates = []
        with after_each_step(lambda _: iterates.append([w.numpy() for w in model.weights])):
            run(tmp_path, config, corpus)
        first, second = num_steps(config, corpus)
        arrays = read_checkpoint(RunFolder(tmp_path).last_checkpoint)[0]
        for variable, average, *weights in zip(
            model.weights, optimizer._averages, *iterates[first:]
        ):
            assert len(weights) == second
            np.testing.assert_array_equal(arrays[f"weights/{variable.path}"], weights[-1])
            np.testing.assert_allclose(average.numpy(), np.mean(weights, axis=0), atol=1e-5)
        assert optimizer.num_averaged == second

    def test_a_second_run_of_the_same_settings_is_equal(self, unbroken, tmp_path):
        run(tmp_path, make_config(**SETTINGS["epoch"]))
        assert_same_run(tmp_path, unbroken("epoch")[0].path)

    def test_bfloat16_runs_and_resumes(self, tmp_path):
        config = make_config(dtype="bfloat16", epochs=2, trigger="epoch:1")
        run(tmp_path / "unbroken", config)
        with interrupt_after(20):
            run(tmp_path / "stopped", config)
        run(tmp_path / "stopped", config)
        assert_same_run(tmp_path / "stopped", tmp_path / "unbroken")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestSeen:
    def test_evaluations_are_alive_on_a_terminal_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr("awd_keras.training.progress._LIVE_SECONDS", 0.0)
        monkeypatch.setattr("awd_keras.training.progress._PLAIN_SECONDS", 0.0)
        for stream, is_seen in ((Terminal(), True), (io.StringIO(), False)):
            folder = tmp_path / str(is_seen)
            run(folder, make_config(epochs=1), stream=stream)
            for what in ("validating: 100% of", "testing: 100% of"):
                assert (what in stream.getvalue()) == is_seen
                assert what not in RunFolder(folder).log_file.read_text()

    def test_the_header_comes_first_in_the_log_too(self, tmp_path):
        config = make_config(epochs=1)
        model, optimizer = tiny.make_model(config)
        stream = io.StringIO()
        loop.train_and_evaluate(
            model, optimizer, make_corpus(), config, RunFolder(tmp_path), stream=stream,
            header=["corpus: tiny", "model: small"])  # fmt: skip
        assert stream.getvalue().startswith("corpus: tiny\nmodel: small\nepoch ")
        assert RunFolder(tmp_path).log_file.read_text() == stream.getvalue()


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
from tests.training import tiny

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
            cwd=ROOT, capture_output=True, text=True, timeout=900)  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        assert_same_run(tmp_path / "killed", tmp_path / "unbroken")
        log = (tmp_path / "killed" / "log.txt").read_text()
        assert log.count("continuing after step") >= 3


class TestRefused:
    def test_other_settings(self, unbroken):
        folder, _, _ = unbroken("epoch")
        with pytest.raises(RunFolderError, match=r"bptt: 10 -> 11"):
            run(folder.path, make_config(**SETTINGS["epoch"], bptt=11))

    def test_another_text(self, unbroken):
        folder, _, _ = unbroken("epoch")
        texts = {**make_texts(), "test": make_texts()["validation"]}
        with pytest.raises(RunFolderError, match="another text"):
            run(folder.path, make_config(**SETTINGS["epoch"]), make_corpus(texts))

    @pytest.mark.parametrize(
        ("split", "changes"),
        [
            ("train", {"batch_size": 60}),
            ("train", {"bptt": 140}),
            ("validation", {"validation_batch_size": 64}),
            ("test", {"test_batch_size": 60}),
        ],
    )
    def test_a_text_too_short(self, tmp_path, split, changes):
        with pytest.raises(ConfigError, match=f"The {split} text of tiny is too short"):
            run(tmp_path / "run", make_config(**changes))
        assert not (tmp_path / "run").exists()

    def test_a_damaged_checkpoint(self, tmp_path):
        config = make_config(epochs=1)
        run(tmp_path, config)
        folder = RunFolder(tmp_path)
        content = folder.last_checkpoint.read_bytes()[:-30]
        folder.last_checkpoint.write_bytes(content)
        metrics = folder.metrics_file.read_bytes()
        with pytest.raises(CheckpointError, match="corrupt"):
            run(tmp_path, config)
        assert folder.metrics_file.read_bytes() == metrics
        assert folder.last_checkpoint.read_bytes() == content

    def test_weights_alone_are_not_to_go_on_from(self, tmp_path):
        config = make_config(epochs=1)
        run(tmp_path, config)
        folder = RunFolder(tmp_path)
        folder.last_checkpoint.write_bytes(folder.best_checkpoint.read_bytes())
        with pytest.raises(CheckpointError, match="not one to go on from"):
            run(tmp_path, config)


class TestDiverged:
    def test_step_and_settings_are_named_and_the_last_checkpoint_is_good(self, tmp_path):
        config = make_config(checkpoint_minutes=0.0)
        model, _ = tiny.make_model(config)

        def overflow_soon(number):
            if number == 3:  # finite weights, and squares of their gradients that are not
                model.weights[0].assign(model.weights[0] * 1e30)

        with after_each_step(overflow_soon), pytest.raises(NonFiniteLossError) as error:
            run(tmp_path, config)
        folder = RunFolder(tmp_path)
        facts = read_checkpoint(folder.last_checkpoint)[1]
        step = facts["state"]["step"] + 1
        window = bptt_windows(
            batchify(make_corpus().train, 4).shape[1] - 1, 10, 7, 0, bptt_std=2.0, bptt_min=3
        )[step - 1]
        message = str(error.value)
        assert f"at step {step} (epoch 1, window of {window} tokens at" in message
        assert "learning_rate=10.0" in message and "seed=7" in message
        assert message.endswith(f"The last good checkpoint is {folder.last_checkpoint}.")
        assert not folder.results_file.exists()

    def test_before_anything_was_saved(self, tmp_path):
        with pytest.raises(NonFiniteLossError, match="Nothing was saved yet"):
            run(tmp_path, make_config(learning_rate=1e30))
        assert not RunFolder(tmp_path).last_checkpoint.exists()

    def test_weights_that_overflow_in_the_last_step_are_not_saved(self, tmp_path):
        # Loss and gradient of the first step are finite, the weights after it are not.
        config = make_config(learning_rate=1e39, checkpoint_minutes=0.0)
        with pytest.raises(NonFiniteLossError, match="not finite"):
            run(tmp_path, config)
        assert not RunFolder(tmp_path).last_checkpoint.exists()

    def test_a_validation_that_is_no_number(self, tmp_path):
        config = make_config(learning_rate=1e39, logging_interval=1)
        with pytest.raises(NonFiniteLossError, match="validation loss"):
            run(tmp_path, config)
        folder = RunFolder(tmp_path)
        assert not folder.last_checkpoint.exists() and not folder.best_checkpoint.exists()
        assert folder.read_metrics() == []

    def test_a_good_run_that_diverges_keeps_its_checkpoint(self, tmp_path):
        config = make_config(logging_interval=5)
        model, _ = tiny.make_model(config)

        def poison(number):
            if number == 13:
                model.weights[0].assign(model.weights[0] * float("nan"))

        with after_each_step(poison), pytest.raises(NonFiniteLossError, match="step 14 "):
            run(tmp_path, config)
        # It is the last good one: from there the run goes on to its end.
        assert read_checkpoint(RunFolder(tmp_path).last_checkpoint)[1]["state"]["step"] == 10
        run(tmp_path / "unbroken", config)
        run(tmp_path, config)
        assert_same_run(tmp_path, tmp_path / "unbroken")


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


class TestPictures:
    def test_curves_and_events(self, tmp_path):
        config = make_config(epochs=2, trigger="epoch:1", tensorboard=True, plot=True)
        stream = io.StringIO()
        run(tmp_path, config, stream=stream)
        folder = RunFolder(tmp_path)
        assert list(folder.events.iterdir())
        pytest.importorskip("matplotlib")
        assert folder.curves_file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert f"curves: {folder.curves_file}" in stream.getvalue()

    def test_without_matplotlib_the_run_ends_well(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        stream = io.StringIO()
        assert run(tmp_path, make_config(epochs=1, plot=True), stream=stream).reason == "finished"
        assert not RunFolder(tmp_path).curves_file.exists()
        assert "curves: not drawn" in stream.getvalue()

    def test_infinite_perplexities_can_be_drawn(self, unbroken, tmp_path):
        pytest.importorskip("matplotlib")
        rows = unbroken("epoch")[0].read_metrics()
        rows[0] = {**rows[0], "validation_perplexity": "inf", "raw_validation_perplexity": "inf"}
        assert curves.draw_curves(tmp_path / "a.png", rows, "title", ("baseline", 10.0))
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    def test_nothing_to_draw(self, tmp_path):
        pytest.importorskip("matplotlib")
        assert not curves.draw_curves(tmp_path / "a.png", [], "title")
        assert not (tmp_path / "a.png").exists()


def test_tiny_runs_are_what_the_tests_think(unbroken):
    # If not, the tests of stopping would stop nowhere near the trigger.
    triggered = {name: unbroken(name)[1].triggered_at_step for name in SETTINGS}
    assert 4 < triggered["often"] < 44 and 3 < triggered["monotonic"] < 44
    assert len({json.dumps(rows_without_times(unbroken(name)[0])) for name in SETTINGS}) == 4
    assert tiny.WORDS + 1 == len(make_corpus().vocabulary)
