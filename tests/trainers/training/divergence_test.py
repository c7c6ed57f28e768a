"""Tests of the losses on their way, and of the end of a run that diverged."""

from unittest import mock

import keras
import numpy as np
import pytest

from awd_keras.data.batching import batchify, bptt_windows
from tests.trainers.training import tiny
from tests.trainers.training.tiny import (
    after_each_step,
    assert_same_run,
    make_config,
    make_corpus,
    run,
)
from trainers.config import TrainingConfig
from trainers.errors import NonFiniteLossError
from trainers.training import divergence, read_checkpoint
from trainers.training.divergence import PendingLosses
from trainers.training.run_folder import RunFolder
from trainers.training.training_state import TrainingState


@pytest.fixture
def losses(tmp_path):
    return PendingLosses(TrainingConfig(batch_size=3, learning_rate=17.0), RunFolder(tmp_path))


def test_sums_weigh_by_tokens(losses):
    state = TrainingState()
    losses.add(state, 10, 2.0, 1.0)
    losses.add(state, 20, 5.0, 1.0)
    assert state.loss_tokens == 0  # nothing is read before it has to be
    losses.read(state)
    assert (state.loss_sum, state.loss_tokens) == (2.0 * 30 + 5.0 * 60, 90)
    losses.read(state)  # what was read is not read again
    assert state.loss_tokens == 90


def test_asks_to_be_read_now_and_then(losses, monkeypatch):
    monkeypatch.setattr(divergence, "time", mock.Mock(monotonic=lambda: 0.0))
    state = TrainingState()
    losses.read(state)
    answers = [losses.add(state, 1, 1.0, 1.0) for _ in range(20)]
    assert not answers[0] and answers[-1]


def test_asks_to_be_read_after_a_slow_step(losses, monkeypatch):
    now = 100.0
    monkeypatch.setattr(divergence, "time", mock.Mock(monotonic=lambda: now))
    state = TrainingState()
    losses.read(state)
    now = 100.9
    assert not losses.add(state, 1, 1.0, 1.0)
    now = 101.1
    assert losses.add(state, 1, 1.0, 1.0)
    losses.read(state)
    assert not losses.add(state, 1, 1.0, 1.0)


@pytest.mark.parametrize(("loss", "norm"), [(np.nan, 1.0), (np.inf, 1.0), (1.0, np.inf)])
def test_names_the_first_bad_step(losses, loss, norm):
    state = TrainingState(step=41, epoch=1, position=70)
    losses.add(state, 12, 1.0, 1.0)
    state.step, state.position = 42, 82
    losses.add(state, 13, loss, norm)
    with pytest.raises(NonFiniteLossError) as caught:
        losses.read(state)
    message = str(caught.value)
    for part in ("step 43", "epoch 2", "window of 13 tokens at 82", "learning_rate=17.0"):
        assert part in message
    assert "Nothing was saved yet" in message


def test_names_the_checkpoint_that_is_left(tmp_path):
    folder = RunFolder(tmp_path)
    folder.last_checkpoint.parent.mkdir(parents=True)
    folder.last_checkpoint.write_bytes(b"")
    error = PendingLosses(TrainingConfig(), folder).error("here")
    assert str(folder.last_checkpoint) in str(error)


def test_weights_are_looked_at(losses):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
    losses.check_weights(model, TrainingState())
    model.layers[0].kernel.assign([[np.nan], [1.0]])
    with pytest.raises(NonFiniteLossError, match="dense/kernel"):
        losses.check_weights(model, TrainingState())


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
