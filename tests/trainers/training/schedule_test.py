"""Tests of the schedules of the learning rate and the momentum."""

import math

import numpy as np
import pytest

from tests.trainers.training import tiny
from tests.trainers.training.tiny import after_each_step, make_config, make_corpus, run
from trainers.config import TrainingConfig
from trainers.training import RunFolder
from trainers.training.checkpoint import TrainingState
from trainers.training.schedule import learning_rate, momentum

ONE_CYCLE = TrainingConfig(
    learning_rate_schedule="one_cycle",
    warmup_fraction=0.25,
    div_factor=3.0,
    final_div_factor=6.0,
    momentum=0.9,
    momentum_min=0.5,
    schedule_epochs=1,
)


def at(progress, **changes):
    """Arguments of the schedules after a part of the first epoch, which has 1,000 steps."""
    epoch, position = divmod(round(1000 * progress), 1000)
    return TrainingState([], None, epoch=epoch, position=position, **changes), 1000


class TestOneCycle:
    def test_start_peak_and_end(self):
        progress = (0, 0.25, 1, 1.5)
        assert [learning_rate(ONE_CYCLE, *at(p)) for p in progress] == [10.0, 30.0, 5.0, 5.0]
        assert [momentum(ONE_CYCLE, *at(p)) for p in progress] == [0.9, 0.5, 0.9, 0.9]

    def test_it_rises_then_falls(self):
        rates = [learning_rate(ONE_CYCLE, *at(p)) for p in np.linspace(0, 1, 101)]
        assert np.argmax(rates) == 25
        assert np.all(np.diff(rates[:26]) > 0) and np.all(np.diff(rates[25:]) < 0)

    def test_half_cosines(self):
        assert learning_rate(ONE_CYCLE, *at(0.125)) == pytest.approx((10 + 30) / 2)
        assert learning_rate(ONE_CYCLE, *at(0.625)) == pytest.approx((30 + 5) / 2)
        assert momentum(ONE_CYCLE, *at(0.125)) == pytest.approx(0.7)


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_cosine_over_all_epochs(progress):
    config = TrainingConfig(learning_rate_schedule="cosine", final_div_factor=100.0, epochs=2)
    expected = 0.3 + 0.5 * (30 - 0.3) * (1 + math.cos(math.pi * progress))
    assert learning_rate(config, *at(2 * progress)) == pytest.approx(expected)


def test_drops_and_reductions():
    config = TrainingConfig(learning_rate_drop_epochs=(2, 3), learning_rate_reduction=4.0)
    rates = [learning_rate(config, *at(epoch + 0.5)) for epoch in range(5)]
    assert rates == [30.0, 30.0, 30.0 * 0.1, 30.0 * 0.1**2, 30.0 * 0.1**2]
    rates = [learning_rate(config, *at(0.5, num_reductions=n)) for n in range(3)]
    assert rates == [30.0, 7.5, 1.875]


class TestRuns:
    def test_each_step_has_the_rate_and_the_momentum_of_its_position(self, tmp_path):
        config = make_config(
            optimizer="adam",
            learning_rate_schedule="one_cycle",
            momentum=0.8,
            momentum_min=0.7,
            learning_rate=0.01,
            trigger="never",
            logging_interval=1,
            epochs=2,
        )
        _, optimizer = tiny.make_model(config)
        num_steps = make_corpus().train.size // config.batch_size - 1
        momenta = []
        with (
            after_each_step(
                lambda _: momenta.append(float(optimizer.optimizer.current_momentum.numpy()))
            ),
            tiny.validation_losses(tiny.rising),
        ):
            run(tmp_path, config)
        rows = RunFolder(tmp_path).read_metrics()
        states = [TrainingState([], None)]
        for row in rows:
            epoch, position = divmod(int(row["tokens"]) // config.batch_size, num_steps)
            states.append(TrainingState([], None, epoch=epoch, position=position))
        # A row has the rate after its step, which is that of the next one.
        rates = [learning_rate(config, state, num_steps) for state in states]
        assert [float(row["learning_rate"]) for row in rows] == rates[1:]
        expected = [momentum(config, state, num_steps) for state in states[:-1]]
        assert momenta == pytest.approx(expected, rel=1e-6)
