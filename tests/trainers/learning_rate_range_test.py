"""Tests of the learning-rate range test."""

import csv
import math

import numpy as np
import pytest

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.training_command import arguments
from trainers.commands.learning_rate_range import suggest

MODULE = "trainers.learning_rate_range"


def test_the_command(data_dir, tmp_path, capfd):
    workdir = tmp_path / "range"
    flags = ["--lowest_learning_rate=0.1", "--highest_learning_rate=1e10", "--num_steps=40"]
    ended = run_command(capfd, MODULE, *arguments(data_dir, workdir), *flags)
    assert ended.code == 0, ended
    with open(workdir / "learning_rate_range.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert 2 < len(rows) <= 40  # whether it ends early depends on the training
    assert rows[0]["smoothed_loss"] == pytest.approx(rows[0]["loss"])
    ratios = [b["learning_rate"] / a["learning_rate"] for a, b in zip(rows, rows[1:])]
    assert ratios == pytest.approx([1e11 ** (1 / 39)] * len(ratios))
    best = min(rows, key=lambda row: row["smoothed_loss"])["learning_rate"]
    assert ended.stdout.endswith(f"learning rate of the lowest loss: {best:.3g}\n")
    assert (workdir / "learning_rate_range.png").exists()


def test_starts_from_the_weights_of_a_run(data_dir, tmp_path, capfd):
    first_losses = []
    for bias in ("zeros", "unigram"):
        workdir = tmp_path / bias
        flags = [*arguments(data_dir, workdir, initial_bias=bias), "--num_steps=10"]
        ended = run_command(capfd, MODULE, *flags)
        assert ended.code == 0, ended
        with open(workdir / "learning_rate_range.csv", newline="") as file:
            first_losses.append(float(next(csv.DictReader(file))["loss"]))
    assert first_losses[1] < first_losses[0]


def test_suggestions():
    # Flat, then a fall that is steepest at 2**50, a minimum at 2**60, and a rise to NaN.
    losses = [9.0] * 46 + [9.0 - i for i in range(1, 9)] + [0.9] * 6 + [0.5] + [2.0] * 20
    smoothed = np.array([*losses, math.nan])
    rates = 2.0 ** np.arange(len(smoothed))
    steepest, best = suggest(rates, smoothed)
    assert 2.0**46 <= steepest <= 2.0**54 and best == 2.0**60
    assert suggest(rates[:2], smoothed[:2]) == (1.0, 1.0)


@pytest.mark.parametrize(("lowest", "highest"), [("10", "1"), ("nan", "1"), ("1", "inf")])
def test_no_range(data_dir, tmp_path, capfd, lowest, highest):
    flags = [f"--lowest_learning_rate={lowest}", f"--highest_learning_rate={highest}"]
    ended = run_command(capfd, MODULE, *arguments(data_dir, tmp_path / "range"), *flags)
    assert_one_line(ended, "must be below --highest_", f"Received: {lowest} and {highest}")
