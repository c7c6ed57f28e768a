"""Tests of the growth with window and batch: all sizes are measured, and a cliff shows."""

import dataclasses
import sys

import pytest

from benchmarks import growth, turns
from benchmarks.workload import Workload

TINY = Workload(batch_size=2, timesteps=3, vocabulary_size=20, embedding_dim=4, hidden_dim=5)


def size(batch_size, timesteps, seconds):
    return {"batch_size": batch_size, "timesteps": timesteps, "seconds": [seconds] * 3}


def row(*sizes):
    return {"name": "awd_keras", "dtype": "float32", "framework": "F 1.0", "sizes": list(sizes)}


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


class TestTable:
    def test_a_cliff_is_a_number_above_one(self):
        measured = row(size(2, 3, 0.6), size(4, 3, 0.6), size(8, 3, 2.4), size(2, 6, 9.0))
        lines = growth.table([measured], "batch_size", [2, 4, 8], "timesteps", 3)
        batches = [cells(line) for line in lines[2:]]
        assert [line[2:4] for line in batches] == [["2", "600"], ["4", "600"], ["8", "2400"]]
        assert [line[5] for line in batches] == ["10", "20", "10"]
        assert [line[6:] for line in batches] == [[], ["0.50"], ["2.00"]]

    def test_what_is_missing_is_named(self):
        missing = {"name": "torch_lstm", "dtype": "float32", "sizes": [], "problem": "No module"}
        lines = growth.report([row(size(2, 3, 0.6)), missing], TINY, [3], [2])
        assert sum("not measured: No module" in line for line in lines) == 2


@pytest.mark.slow
def test_every_size_is_measured_in_one_process(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 0.0)
    workloads = [TINY, dataclasses.replace(TINY, dtype="bfloat16")]
    pythons = {"awd_keras": sys.executable, "torch_lstm": "/no/python"}
    rows = growth.measure(workloads, list(pythons), pythons, [3, 4], [1, 2], rounds=1)
    assert ["problem" in measured for measured in rows] == [False, True] * 2
    for measured in rows[::2]:
        sizes = [(found["batch_size"], found["timesteps"]) for found in measured["sizes"]]
        assert sizes == [(2, 3), (2, 4), (1, 3)]
        assert all(len(found["seconds"]) == 1 for found in measured["sizes"])
    assert growth.report(rows, TINY, [3, 4], [1, 2])
