"""Tests of the range test: its learning rates, its end, and a stopped one that goes on."""

import csv
import io
import json
import math
from unittest import mock

import numpy as np
import pytest

from tests.trainers.training import tiny
from tests.trainers.training.tiny import make_config, make_corpus
from trainers.errors import UserError
from trainers.search import learning_rate_range
from trainers.search.learning_rate_range import (
    LearningRateRange,
    RangeFolder,
    learning_rate_range_test,
)
from trainers.search.learning_rate_range import suggest as suggest_learning_rates
from trainers.training import RunFolder
from trainers.training.progress import Progress

RANGE = LearningRateRange(0.1, 100.0, 30)


def range_test(path, rates=RANGE, act=None, **changes):
    """A range test of the tiny model; `act(step)` is called before each step."""
    config = make_config(**changes)
    model, optimizer = tiny.make_model(config)
    seen = []

    def make(*args, **kwargs):
        train_step = tiny._step_once(*args, **kwargs)

        def step(inputs, targets, states, rate, number):
            seen.append((int(number), float(rate), inputs.shape[1]))
            if act is not None:
                act(int(number))
            return train_step(inputs, targets, states, rate, number)

        return step

    with mock.patch.object(learning_rate_range, "make_train_step", make):
        rows, reason = learning_rate_range_test(
            model,
            optimizer,
            make_corpus(),
            config,
            RunFolder(path),
            rates,
            Progress(stream=io.StringIO()),
        )
    return rows, reason, seen


def interrupt_at(step):
    import os
    import signal

    return lambda number: os.kill(os.getpid(), signal.SIGINT) if number == step else None


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("range") / "run"
    return path, *range_test(path)


class TestUnbroken:
    def test_the_rate_grows_by_the_same_factor_and_follows_the_window(self, unbroken):
        _, rows, _, seen = unbroken
        factor = (100.0 / 0.1) ** (1 / 29)
        assert [number for number, _, _ in seen] == list(range(len(rows)))
        for (number, rate, length), row in zip(seen, rows):
            assert row["learning_rate"] == pytest.approx(0.1 * factor**number)
            assert rate == pytest.approx(row["learning_rate"] * length / 10, rel=1e-6)
        assert len({length for _, _, length in seen}) > 3

    def test_the_smoothed_loss(self, unbroken):
        _, rows, _, _ = unbroken
        for index, row in enumerate(rows):
            weights = 0.95 ** np.arange(index, -1, -1.0)
            losses = [earlier["loss"] for earlier in rows[: index + 1]]
            assert row["smoothed_loss"] == pytest.approx(np.average(losses, weights=weights))

    def test_the_files(self, unbroken):
        path, rows, reason, _ = unbroken
        assert reason == "finished" and len(rows) == 30
        content = json.loads((path / "learning_rate_range.json").read_text())
        assert content["range"] == {"lowest": 0.1, "highest": 100.0, "num_steps": 30}
        assert content["reason"] == "finished"
        assert {"steepest", "lowest_loss"} <= set(content)
        with open(path / "learning_rate_range.csv", newline="") as file:
            written = list(csv.DictReader(file))
        assert [float(row["loss"]) for row in written] == [row["loss"] for row in rows]
        assert not RunFolder(path).last_checkpoint.exists()

    def test_again_it_is_read_not_run(self, unbroken):
        path, rows, reason, _ = unbroken
        assert range_test(path) == (rows, reason, [])


class TestEnds:
    def test_where_the_loss_has_grown_by_half(self, tmp_path):
        rows, reason, _ = range_test(tmp_path, LearningRateRange(1.0, 1e5, 40))
        assert reason == "diverged" and len(rows) < 40
        smoothed = [row["smoothed_loss"] for row in rows]
        grown = [loss > 1.5 * min(smoothed[: index + 1]) for index, loss in enumerate(smoothed)]
        assert grown == [False] * (len(rows) - 1) + [True]

    def test_where_it_is_no_number(self, tmp_path):
        rows, reason, _ = range_test(tmp_path, LearningRateRange(1.0, 1e38, 4))
        assert reason == "diverged"
        content = json.loads((tmp_path / "learning_rate_range.json").read_text())
        assert content["reason"] == "diverged"
        assert len(rows) <= 4


class TestStopped:
    def test_interrupted_and_continued_it_is_the_unbroken_test(self, unbroken, tmp_path):
        # In the second epoch, and in the first.
        for stop in (5, 20):
            rows, reason, _ = range_test(tmp_path, act=interrupt_at(stop))
            assert reason == "interrupted" and len(rows) == stop + 1
        rows, reason, seen = range_test(tmp_path)
        assert seen[0][0] == 21
        assert (rows, reason) == unbroken[1:3]

    def test_killed_it_goes_on_from_its_last_checkpoint(self, unbroken, tmp_path):
        class Killed(BaseException):
            pass

        def kill(number):
            if number == 12:
                raise Killed

        with pytest.raises(Killed):
            range_test(tmp_path, act=kill, checkpoint_minutes=0.0)
        rows, reason, seen = range_test(tmp_path)
        assert seen[0][0] == 12
        assert (rows, reason) == unbroken[1:3]


class TestRefused:
    def test_another_range(self, unbroken):
        with pytest.raises(UserError, match="holds a range test of"):
            range_test(unbroken[0], LearningRateRange(0.1, 50.0, 30))

    def test_other_settings(self, unbroken):
        with pytest.raises(UserError, match="bptt: 10 -> 12"):
            range_test(unbroken[0], bptt=12)

    def test_a_folder_of_training_with_the_same_settings(self, tmp_path):
        folder = RunFolder(tmp_path)
        folder.begin(make_config(), make_corpus())
        files = sorted(tmp_path.iterdir())
        with pytest.raises(UserError, match="it is not a range test's.*nothing was changed"):
            range_test(tmp_path)
        assert sorted(tmp_path.iterdir()) == files

    def test_training_does_not_go_on_in_a_range_test(self, unbroken):
        with pytest.raises(UserError, match="so it is not a run"):
            RunFolder(unbroken[0]).check(make_config())

    def test_a_range_test_that_was_killed_as_it_began(self, tmp_path):
        (tmp_path / "range_config.json.partial").write_text("{")
        assert not RangeFolder(tmp_path).check(make_config())

    def test_a_text_too_short(self, tmp_path):
        with pytest.raises(UserError, match="too short"):
            range_test(tmp_path / "run", batch_size=60)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("numbers", "message"),
        [
            ((1.0, 1.0, 10), "below highest_learning_rate"),
            ((0.0, 1.0, 10), "above 0"),
            ((1.0, math.inf, 10), "highest_learning_rate=inf"),
            ((1.0, 2.0, 1), "num_steps must be at least 2"),
        ],
    )
    def test_a_range_that_is_none(self, numbers, message):
        with pytest.raises(UserError, match=message):
            LearningRateRange(*numbers)


class TestSuggest:
    def make(self, losses):
        return [
            {"learning_rate": 10.0 ** (index / 10 - 2), "smoothed_loss": loss}
            for index, loss in enumerate(losses)
        ]

    def test_steepest_and_lowest(self):
        # Flat, then a fall whose steepest part is at step 40, then a rise from step 60.
        x = np.arange(80.0)
        losses = 9 - 3 / (1 + np.exp(-(x - 40) / 5)) + np.maximum(0, x - 60) ** 2
        suggested = suggest_learning_rates(self.make(losses))
        assert suggested["steepest"] == pytest.approx(10.0 ** (40 / 10 - 2))
        assert suggested["lowest_loss"] == pytest.approx(10.0 ** (60 / 10 - 2), rel=0.3)

    def test_too_few_steps(self):
        assert suggest_learning_rates(self.make([3.0, 2.0, 1.0])) == {}

    def test_a_loss_that_only_grows(self):
        assert suggest_learning_rates(self.make(range(20)))["lowest_loss"] == 0.01
