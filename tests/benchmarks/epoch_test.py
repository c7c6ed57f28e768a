"""Tests of the epoch: the stopwatch finds the parts of the real loop, and shares add up."""

import sys

import pytest

from benchmarks import epoch, turns
from benchmarks.workload import Workload

TINY = Workload(batch_size=2, timesteps=5, vocabulary_size=20, embedding_dim=4, hidden_dim=5)


def make_row(runs, **changes):
    row = {"name": "awd_keras_epoch", "dtype": "float32", "framework": "F", "runs": runs}
    return {**row, "validation_tokens": 7_376, **changes}


def make_run(wall):
    parts = {epoch.STEP: 8.0, epoch.LOG: 0.5, epoch.CHECKPOINT: 1.0, epoch.VALIDATION: 2.0}
    return {"wall": wall, "parts": parts, "counts": dict.fromkeys(parts, 3), "tokens": 929_589}


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_shares_are_of_the_time_without_validation():
    lines = epoch.table(make_row([make_run(12.0)]))
    by_name = {cells(line)[0]: cells(line)[1:] for line in lines[2:-2]}
    assert by_name[epoch.STEP] == ["3", "8.000", "80.00%"]
    assert by_name[epoch.VALIDATION] == ["3", "2.000", "apart"]
    assert by_name["all outside of the step"] == ["", "2.000", "20.00%"]
    assert sum(float(line[2][:-1]) for line in by_name.values() if "%" in line[2]) == 100 + 20
    assert "validation 200.00%" in lines[-1]


def test_an_epoch_of_penn_treebank_saves_every_five_minutes():
    short, long = make_run(12.0), make_run(12.0)
    long["tokens"] //= 100  # a hundredth of the text in the same time: 900 seconds
    outside, checkpoints, _ = epoch.full_epoch(make_row([short]))
    assert (outside, checkpoints) == (pytest.approx(0.2), pytest.approx(0.1))
    _, checkpoints, _ = epoch.full_epoch(make_row([long]))
    assert checkpoints == pytest.approx(4 / 904, rel=0.01)


def test_a_dtype_that_did_not_run_is_named():
    row = make_row([], problem="killed")
    assert epoch.report([row], TINY, 3)[-1] == "float32: not measured: killed"


@pytest.mark.slow
def test_the_real_loop_is_measured(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 0.0)
    (row,) = epoch.measure([TINY], {"awd_keras": sys.executable}, 4, 60)
    (run,) = row["runs"]
    assert run["counts"][epoch.STEP] >= 3 and run["counts"][epoch.VALIDATION] == 1
    assert run["counts"][epoch.CHECKPOINT] >= 2 and run["counts"][epoch.LOG] >= 2
    assert run["tokens"] == TINY.batch_size * 4 * TINY.timesteps
    assert 0 < sum(run["parts"].values()) < run["wall"]
    assert epoch.table(row)
