"""Tests of the losses on their way, and of the end of a run that diverged."""

from unittest import mock

import keras
import numpy as np
import pytest

from awd_keras.config import TrainingConfig
from awd_keras.training import divergence
from awd_keras.training.divergence import NonFiniteLossError, PendingLosses
from awd_keras.training.run_folder import RunFolder
from awd_keras.training.training_state import TrainingState


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
