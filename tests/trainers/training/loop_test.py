"""Tests of an uninterrupted run: its steps, validations, trigger, results and refusals."""

import io
import json
import math
from unittest import mock

import numpy as np
import pytest

from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.evaluation import evaluate
from awd_keras.models import AWDLSTMLanguageModel
from tests.trainers.training import tiny
from tests.trainers.training.tiny import (
    after_each_step,
    assert_same_run,
    digests,
    make_config,
    make_corpus,
    rising,
    run,
    validation_losses,
)
from trainers.config import TrainingConfig
from trainers.errors import NonFiniteLossError, UserError
from trainers.training import RunFolder, loop, read_checkpoint
from trainers.training.checkpoint import TrainingState
from trainers.training.loop import PendingLosses, training_windows


def columns_of(config):
    return batchify(make_corpus().train, config.batch_size)


def steps_per_epoch(config):
    num_steps = columns_of(config).shape[1] - 1
    return [
        len(bptt_windows(num_steps, config.bptt, config.seed, epoch, 2.0, 3))
        for epoch in range(config.epochs)
    ]


def column(folder, name):
    return [float(row[name]) for row in folder.read_metrics()]


class TestWindows:
    def test_they_cover_each_epoch(self):
        config = make_config(epochs=2)
        windows = list(training_windows(config, 141))
        for epoch in range(2):
            own = [window for window in windows if window.epoch == epoch]
            ends = np.cumsum([window.length for window in own])
            assert [window.start for window in own] == [0, *ends[:-1]]
            assert ends[-1] == 141
            assert [window.is_last for window in own] == [False] * (len(own) - 1) + [True]

    def test_they_resume_after_any_window(self):
        config = make_config(epochs=2)
        windows = list(training_windows(config, 141))
        for index, window in enumerate(windows):
            position = (window.epoch, window.start + window.length)
            if window.is_last:
                position = (window.epoch + 1, 0)
            assert list(training_windows(config, 141, *position)) == windows[index + 1 :]


class TestSteps:
    def test_each_epoch_starts_from_zero_states_and_reads_every_token(self, tmp_path, monkeypatch):
        calls = []
        make_train_step = tiny._make_step_once

        def make(model, optimizer, **kwargs):
            train_step = make_train_step(model, optimizer, **kwargs)

            def record(*arguments):
                results = train_step(*arguments)
                calls.append((*arguments, results))
                return results

            return record

        monkeypatch.setattr(loop, "make_train_step", make)
        config = make_config(epochs=2)
        run(tmp_path, config)
        columns = columns_of(config)
        first, second = steps_per_epoch(config)
        assert [int(call[4]) for call in calls] == list(range(first + second))
        losses = column(RunFolder(tmp_path), "train_loss")
        for epoch, loss in zip((calls[:first], calls[first:]), losses, strict=True):
            inputs, targets = (np.concatenate([call[i] for call in epoch], axis=1) for i in (0, 1))
            np.testing.assert_array_equal(inputs, columns[:, :-1])
            np.testing.assert_array_equal(targets, columns[:, 1:])
            assert not any(np.any(state) for pair in epoch[0][2] for state in pair)
            assert np.any(epoch[1][2][0][0])
            for before, after in zip(epoch, epoch[1:], strict=False):
                np.testing.assert_array_equal(after[2][0][0], before[5][2][0][0])
            # The loss in metrics.csv is the mean over tokens, whatever the windows.
            sizes = [call[0].shape[1] for call in epoch]
            expected = np.average([float(call[5][0]) for call in epoch], weights=sizes)
            assert loss == pytest.approx(expected, rel=1e-12)
        for inputs, _, _, rate, *_ in calls:
            assert float(rate) == pytest.approx(10.0 * inputs.shape[1] / 10, rel=1e-6)


class TestMetrics:
    def test_a_row_for_each_epoch(self, trained):
        folder, result, output = trained
        config = make_config()
        steps = steps_per_epoch(config)
        assert column(folder, "epoch") == [1, 2, 3]
        assert column(folder, "step") == np.cumsum(steps).tolist()
        num_tokens = config.batch_size * (columns_of(config).shape[1] - 1)
        assert column(folder, "tokens") == [num_tokens, 2 * num_tokens, 3 * num_tokens]
        assert column(folder, "averaging") == [0, 1, 1]
        losses = column(folder, "validation_loss")
        assert column(folder, "validation_perplexity") == [math.exp(loss) for loss in losses]
        assert result.triggered_at_step == steps[0]
        assert f"averaging starts at step {steps[0]}: as requested, after epoch 1" in output
        assert folder.log_file.read_text() == output and "\r" not in output

    def test_a_row_for_each_interval(self, tmp_path):
        config = make_config(epochs=2, logging_interval=4, learning_rate_drop_epochs=(1,))
        with validation_losses(lambda step: 3.0 - 0.01 * step):
            result = run(tmp_path, config)
        steps = steps_per_epoch(config)
        rows = RunFolder(tmp_path).read_metrics()
        assert [int(row["step"]) for row in rows] == list(range(4, sum(steps) + 1, 4))
        for row in rows:
            rate = 10.0 if int(row["step"]) < steps[0] else 1.0
            assert float(row["learning_rate"]) == pytest.approx(rate)
        assert result.triggered_at_step is None

    def test_averaging_can_start_within_an_epoch(self, tmp_path):
        config = make_config(epochs=1, trigger="epoch:0.5")
        num_steps = columns_of(config).shape[1] - 1
        ends = [w.start + w.length for w in loop.training_windows(config, num_steps)]
        step = run(tmp_path, config).triggered_at_step
        assert ends[step - 2] < num_steps / 2 <= ends[step - 1]

    @pytest.mark.parametrize("validate_raw", [False, True])
    def test_raw_weights_are_validated_after_the_trigger_only_on_request(
        self, trained, tmp_path, validate_raw
    ):
        folder = trained[0]
        if validate_raw:
            run(tmp_path, make_config(trigger="epoch:1", validate_raw=True))
            folder = RunFolder(tmp_path)
        first, *others = folder.read_metrics()
        assert first["raw_validation_perplexity"] == first["validation_perplexity"]
        for row in others:
            assert bool(row["raw_validation_perplexity"]) == validate_raw
            assert row["raw_validation_perplexity"] != row["validation_perplexity"]


class TestTrigger:
    @pytest.mark.parametrize(
        ("settings", "num_losses"),
        [
            ({"non_monotone_interval": 2}, 4),
            ({"trigger": "monotonic", "non_monotone_interval": 2}, 2),
        ],
    )
    def test_it_fires_by_the_validation_losses(self, tmp_path, settings, num_losses):
        stream = io.StringIO()
        config = make_config(epochs=2, logging_interval=3, **settings)
        with validation_losses(rising):
            result = run(tmp_path, config, stream=stream)
        assert result.triggered_at_step == 3 * num_losses
        assert (
            f"averaging starts at step {3 * num_losses}: validation loss "
            f"{rising(3 * num_losses):.4f} is above {rising(3):.4f}" in stream.getvalue()
        )

    def test_it_can_reduce_the_learning_rate_again_and_again(self, tmp_path):
        config = make_config(
            epochs=1,
            logging_interval=3,
            non_monotone_interval=1,
            trigger_action="reduce_learning_rate",
        )
        stream = io.StringIO()
        with validation_losses(rising):
            result = run(tmp_path, config, stream=stream)
        # Two losses fill a record, the third fires; then the record starts anew.
        rates = column(RunFolder(tmp_path), "learning_rate")
        assert rates == [10.0 / 2 ** (index // 3) for index in range(len(rates))]
        assert "learning rate 10 -> 5 at step 9: validation loss" in stream.getvalue()
        assert result.triggered_at_step is None

    def test_it_stops_the_run(self, tmp_path):
        config = make_config(logging_interval=2, non_monotone_interval=1)
        config = config.replace(trigger="start", stop="non_monotonic")
        stream = io.StringIO()
        with validation_losses(rising):
            result = run(tmp_path, config, stream=stream)
            assert run(tmp_path, config.replace(epochs=9)) == result  # it stays as it is
        assert (result.triggered_at_step, result.stopped_at_step) == (0, 6)
        assert result.reason == "finished"
        assert "stopping at step 6: validation loss" in stream.getvalue()


class TestResults:
    def test_they_are_those_of_the_best_weights(self, trained):
        folder, result, output = trained
        config, corpus = make_config(), make_corpus()
        assert folder.read_results() == json.loads(json.dumps(result.to_dict()))
        assert (result.reason, result.epochs) == ("finished", 3)
        model = AWDLSTMLanguageModel(
            len(corpus.vocabulary), embedding_dim=6, hidden_dim=8, num_layers=2
        )
        folder.load_best(model)
        expected = evaluate(model, corpus.validation, config.validation_batch_size)
        assert result.validation == expected
        assert evaluate(model, corpus.test, config.test_batch_size) == result.test
        assert result.validation.loss == min(column(folder, "validation_loss"))

    def test_the_last_weights_are_validated_too(self, tmp_path):
        # Their validation is not logged, since a longer run would not have it.
        config = make_config(epochs=1, logging_interval=7, trigger="never")
        (last,) = steps_per_epoch(config)
        assert last % 7
        with validation_losses(lambda step: 1.0 if step == last else 3.0):
            assert run(tmp_path / "run", config).validation.loss == 1.0
            assert set(column(RunFolder(tmp_path / "run"), "validation_loss")) == {3.0}
            run(tmp_path / "run", config.replace(epochs=2))
            run(tmp_path / "unbroken", config.replace(epochs=2))
        assert_same_run(tmp_path / "run", tmp_path / "unbroken")

    def test_curves_and_events(self, tmp_path):
        pytest.importorskip("matplotlib")
        stream = io.StringIO()
        config = make_config(epochs=1, tensorboard=True, plot=True)
        run(tmp_path, config, stream=stream, baseline=("trigram", 12.0))
        folder = RunFolder(tmp_path)
        assert b"perplexity/validation" in next(folder.events.iterdir()).read_bytes()
        assert folder.curves_file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert f"curves: {folder.curves_file}" in stream.getvalue()


class TestInitialRun:
    def test_it_starts_from_the_best_weights(self, trained, tmp_path):
        initial = trained[0].path
        before = digests(initial)
        config = make_config(
            initial_run=str(initial), trigger="start", epochs=1, logging_interval=2
        )
        stream = io.StringIO()
        # The initial loss is the smallest, so the best weights stay those of the initial run.
        with validation_losses(rising):
            result = run(tmp_path, config, stream=stream)
        assert digests(initial) == before
        assert result.validation.loss == rising(0)
        assert f"starting from the best weights of {initial}" in stream.getvalue()
        arrays, facts = read_checkpoint(RunFolder(tmp_path).best_checkpoint)
        expected = read_checkpoint(trained[0].best_checkpoint)[0]
        assert facts["step"] == 0
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, expected[name])
        assert set(column(RunFolder(tmp_path), "averaging")) == {1}


class TestRefused:
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
        with pytest.raises(UserError, match=f"The {split} text of tiny must have at least"):
            run(tmp_path / "run", make_config(**changes))
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("name", ["checkpoints/last/checkpoint.npz", "metrics.csv"])
    def test_a_damaged_file(self, tmp_path, name):
        config = make_config(epochs=1)
        run(tmp_path, config)
        path = tmp_path / name
        path.write_bytes(path.read_bytes().replace(b"1", b"x"))
        before = digests(tmp_path)
        with pytest.raises(UserError, match=f"{name} cannot be read"):
            run(tmp_path, config.replace(epochs=2), header=["resuming"])
        assert digests(tmp_path) == before


def make_state(**changes):
    return TrainingState(carried=[], trigger=None, **changes)


@pytest.fixture
def pending():
    return PendingLosses(TrainingConfig(batch_size=3, learning_rate=17.0))


def test_sums_are_weighted_by_tokens(pending):
    state = make_state()
    pending.add(state, 10, 2.0, 1.0)
    pending.add(state, 20, 5.0, 1.0)
    assert state.loss_tokens == 0
    for _ in range(2):  # what was read is not read again
        pending.read(state)
        assert (state.loss_sum, state.loss_tokens) == (2.0 * 30 + 5.0 * 60, 90)


def test_they_are_read_after_some_steps_or_a_slow_one(pending, monkeypatch):
    now = 100.0
    monkeypatch.setattr(loop, "time", mock.Mock(monotonic=lambda: now))
    state = make_state()
    pending.read(state)
    answers = [pending.add(state, 1, 1.0, 1.0) for _ in range(20)]
    assert not answers[0] and answers[-1]
    pending.read(state)
    now = 101.1
    assert pending.add(state, 1, 1.0, 1.0)


@pytest.mark.parametrize(("loss", "norm"), [(np.nan, 1.0), (np.inf, 1.0), (1.0, np.inf)])
def test_the_first_bad_step_is_named(pending, loss, norm):
    state = make_state(step=41, epoch=1)
    pending.add(state, 12, 1.0, 1.0)
    state.step = 42
    pending.add(state, 13, loss, norm)
    with pytest.raises(
        NonFiniteLossError, match="at step 43 .epoch 2, .*smaller learning rate than 17"
    ):
        pending.read(state)


def test_scalars_that_cannot_be_written(tmp_path):
    folder, stream = RunFolder(tmp_path), io.StringIO()
    with after_each_step(lambda step: folder.events.touch()):
        result = run(tmp_path, make_config(tensorboard=True, epochs=1), stream=stream)
    assert result.reason == "finished"
    assert "warning: no scalars for TensorBoard: " in stream.getvalue()


def test_checkpoint_minutes(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(loop, "time", mock.Mock(monotonic=lambda: now))
    saved = []

    def minute_and_a_second(step):
        nonlocal now
        now += 61.0
        if RunFolder(tmp_path).last_checkpoint.exists():
            saved.append(read_checkpoint(RunFolder(tmp_path).last_checkpoint)[1]["state"]["step"])

    with after_each_step(minute_and_a_second):
        run(tmp_path, make_config(checkpoint_minutes=2.0, epochs=1))
    # Before steps 3, 5 and so on, there is a checkpoint of the step before.
    assert saved[:5] == [2, 2, 4, 4, 6]


class TestDiverged:
    def test_weights_that_are_not_finite_are_not_saved(self, tmp_path):
        # The loss and the gradient of the first step are finite, the weights after it are not.
        config = make_config(learning_rate=1e39, checkpoint_minutes=0.0)
        with pytest.raises(NonFiniteLossError, match="is not finite"):
            run(tmp_path, config)
        assert not RunFolder(tmp_path).last_checkpoint.exists()

    def test_a_validation_that_is_not_finite(self, tmp_path):
        config = make_config(learning_rate=1e39, logging_interval=1)
        with pytest.raises(NonFiniteLossError, match="by step 1: validation loss"):
            run(tmp_path, config)
        folder = RunFolder(tmp_path)
        assert not folder.last_checkpoint.exists() and not folder.best_checkpoint.exists()
        assert folder.read_metrics() == []

    def test_the_last_checkpoint_is_good(self, tmp_path):
        config = make_config(logging_interval=5)
        model, _ = tiny.make_model(config)

        def poison(number):
            if number == 13:
                model.weights[0].assign(model.weights[0] * float("nan"))

        with after_each_step(poison), pytest.raises(NonFiniteLossError, match="step 14 "):
            run(tmp_path / "run", config)
        last = RunFolder(tmp_path / "run").last_checkpoint
        assert read_checkpoint(last)[1]["state"]["step"] == 10
        run(tmp_path / "unbroken", config)
        run(tmp_path / "run", config)
        assert_same_run(tmp_path / "run", tmp_path / "unbroken")
