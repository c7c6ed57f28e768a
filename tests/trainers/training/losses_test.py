"""Tests of pending losses, and of the end of a run that diverged."""

from unittest import mock

import numpy as np
import pytest

from tests.trainers.training import tiny
from tests.trainers.training.tiny import after_each_step, assert_same_run, make_config, run
from trainers.config import TrainingConfig
from trainers.errors import NonFiniteLossError
from trainers.training import losses, read_checkpoint
from trainers.training.checkpoint import TrainingState
from trainers.training.losses import PendingLosses
from trainers.training.run_folder import RunFolder


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
    monkeypatch.setattr(losses, "time", mock.Mock(monotonic=lambda: now))
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
    with pytest.raises(NonFiniteLossError, match="at step 43 .epoch 2, .*smaller learning rate than 17"):
        pending.read(state)


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
