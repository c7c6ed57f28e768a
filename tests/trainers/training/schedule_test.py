"""Tests of schedules: their shape, and a stopped run that has those of the unbroken one."""

import io
import math

import numpy as np
import pytest

from tests.trainers.training import tiny
from tests.trainers.training.tiny import (
    after_each_step,
    assert_same_run,
    interrupt_after,
    make_config,
    make_corpus,
    run,
)
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training import RunFolder, read_checkpoint
from trainers.training.schedule import (
    cosine,
    learning_rate,
    momentum,
    one_cycle,
    one_cycle_momentum,
    schedule_progress,
)

ONE_CYCLE = {"learning_rate_schedule": "one_cycle", "trigger": "never", "logging_interval": 1}


class TestOneCycle:
    def test_ends_and_peak(self):
        factors = {"div_factor": 8.0, "final_div_factor": 1e3}
        ends = [one_cycle(p, 40.0, 0.25, **factors) for p in (0, 0.25, 1)]
        assert ends == [5.0, 40.0, 0.04]

    def test_rises_then_falls(self):
        rates = [one_cycle(p, 1.0, 0.4) for p in np.linspace(0, 1, 101)]
        assert np.argmax(rates) == 40
        assert np.all(np.diff(rates[:41]) > 0) and np.all(np.diff(rates[40:]) < 0)

    def test_halves_of_a_cosine(self):
        assert one_cycle(0.15, 26.0, 0.3, div_factor=26.0) == pytest.approx((1 + 26) / 2)
        assert one_cycle(0.65, 30.0, 0.3, final_div_factor=30.0) == pytest.approx((1 + 30) / 2)

    def test_the_momentum_mirrors_it(self):
        assert [one_cycle_momentum(p, 0.95, 0.85, 0.25) for p in (0, 0.25, 1)] == [0.95, 0.85, 0.95]
        assert one_cycle_momentum(0.125, 0.95, 0.85, 0.25) == pytest.approx(0.9)


class TestCosine:
    @pytest.mark.parametrize("progress", [0.0, 0.2, 0.5, 0.9, 1.0])
    def test_against_its_formula(self, progress):
        expected = 0.3 + 0.5 * (30 - 0.3) * (1 + math.cos(math.pi * progress))
        assert cosine(progress, 30.0, final_div_factor=100.0) == pytest.approx(expected)


class TestOfSettings:
    def test_progress(self):
        config = TrainingConfig(learning_rate_schedule="cosine", epochs=4)
        assert schedule_progress(config, 0, 0, 100) == 0
        assert schedule_progress(config, 1, 50, 100) == 0.375
        assert schedule_progress(config, 4, 0, 100) == 1
        assert schedule_progress(config.replace(schedule_epochs=2), 1, 0, 100) == 0.5
        assert schedule_progress(config.replace(schedule_epochs=2), 3, 0, 100) == 1
        assert schedule_progress(TrainingConfig(), 3, 7, 100) == 0

    def test_constant_is_as_it_was(self):
        config = TrainingConfig(learning_rate_drop_epochs=(2, 3))
        rates = [learning_rate(config, epoch, 0.0) for epoch in range(5)]
        assert rates == [30.0, 30.0, 30.0 * 0.1, 30.0 * 0.1**2, 30.0 * 0.1**2]

    def test_reductions_divide(self):
        config = TrainingConfig(learning_rate_reduction=4.0)
        assert [learning_rate(config, 0, 0.0, n) for n in range(3)] == [30.0, 7.5, 1.875]

    def test_the_settings_are_handed_on(self):
        config = TrainingConfig(
            learning_rate_schedule="one_cycle",
            warmup_fraction=0.2,
            div_factor=3.0,
            final_div_factor=6.0,
            momentum=0.9,
            momentum_min=0.5,
        )
        assert [learning_rate(config, 0, p) for p in (0, 0.2, 1)] == [10.0, 30.0, 5.0]
        assert [momentum(config, p) for p in (0, 0.2, 1)] == [0.9, 0.5, 0.9]
        config = config.replace(learning_rate_schedule="cosine", momentum_min=None)
        assert [learning_rate(config, 0, p) for p in (0, 1)] == [30.0, 5.0]


SCHEDULED = {
    "sgd": {**ONE_CYCLE, "momentum": 0.9, "momentum_min": 0.5, "learning_rate": 2.0},
    "adam": {
        **ONE_CYCLE,
        "optimizer": "adam",
        "momentum": 0.8,
        "momentum_min": 0.7,
        "learning_rate": 0.01,
    },
    "cosine": {"learning_rate_schedule": "cosine", "momentum": 0.5},
}


@pytest.mark.parametrize("name", SCHEDULED)
class TestRuns:
    def test_continued_it_is_the_unbroken_run(self, tmp_path, name):
        config = make_config(**SCHEDULED[name], epochs=2)
        run(tmp_path / "unbroken", config)
        for stop in (4, 17):
            with interrupt_after(stop):
                run(tmp_path / "stopped", config)
        run(tmp_path / "stopped", config)
        assert_same_run(tmp_path / "stopped", tmp_path / "unbroken")
        assert not [path for path in tmp_path.rglob("*.partial")]


class TestInTheLoop:
    def test_each_step_has_the_learning_rate_and_the_momentum_of_its_position(self, tmp_path):
        config = make_config(**SCHEDULED["sgd"], epochs=2)
        _, optimizer = tiny.make_model(config)
        steps = make_corpus().train.size // config.batch_size - 1
        momenta = []
        with after_each_step(lambda _: momenta.append(optimizer.optimizer.current_momentum)):
            run(tmp_path, config)
        rows = RunFolder(tmp_path).read_metrics()
        done = [int(row["tokens"]) // config.batch_size for row in rows]
        # A row shows the rate after its step, which is that of the next one.
        for row, position in zip(rows, done):
            expected = one_cycle(position / (2 * steps), 2.0)
            assert float(row["learning_rate"]) == pytest.approx(expected, rel=1e-12)
        for value, position in zip(momenta, [0, *done]):
            expected = one_cycle_momentum(position / (2 * steps), 0.9, 0.5)
            assert value == pytest.approx(expected, rel=1e-6)
        assert min(momenta) < 0.55 and max(momenta) == pytest.approx(0.9)

    def test_a_fixed_schedule_lets_the_epochs_grow(self, tmp_path):
        config = make_config(**SCHEDULED["adam"], schedule_epochs=2)
        run(tmp_path / "grown", config.replace(epochs=1))
        run(tmp_path / "grown", config.replace(epochs=2))
        run(tmp_path / "whole", config.replace(epochs=2))
        assert_same_run(tmp_path / "grown", tmp_path / "whole")

    def test_without_it_they_may_not(self, tmp_path):
        config = make_config(**SCHEDULED["cosine"], epochs=1)
        run(tmp_path, config)
        with pytest.raises(UserError, match="schedule_epochs: 1 -> 2"):
            run(tmp_path, config.replace(epochs=2))


class TestReducedByTheTrigger:
    SETTINGS = {
        "trigger_action": "reduce_learning_rate",
        "logging_interval": 3,
        "non_monotone_interval": 1,
        "learning_rate": 40.0,
        "epochs": 4,
    }

    def test_each_time_the_test_holds_on_a_new_record(self, tmp_path):
        stream = io.StringIO()
        result = run(tmp_path, make_config(**self.SETTINGS), stream=stream)
        rows = RunFolder(tmp_path).read_metrics()
        rate, record, reduced = 40.0, [], 0
        for row in rows:
            assert float(row["learning_rate"]) == rate
            assert row["averaging"] == "0"
            loss = float(row["validation_loss"])
            if len(record) > 1 and loss > min(record[:-1]):
                rate, record, reduced = rate / 2, [], reduced + 1
            else:
                record.append(loss)
        assert reduced > 1
        assert stream.getvalue().count("learning rate ") == reduced
        assert "learning rate 40 -> 20 at step" in stream.getvalue()
        assert result.triggered_at_step is None

    def test_continued_it_is_the_unbroken_run(self, tmp_path):
        config = make_config(**self.SETTINGS)
        run(tmp_path / "unbroken", config)
        for stop in (10, 40):
            with interrupt_after(stop):
                run(tmp_path / "stopped", config)
        facts = read_checkpoint(RunFolder(tmp_path / "stopped").last_checkpoint)[1]
        assert facts["state"]["num_reductions"] > 0
        run(tmp_path / "stopped", config)
        assert_same_run(tmp_path / "stopped", tmp_path / "unbroken")
