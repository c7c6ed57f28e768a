"""Tests of the pieces of a step: all are measured, and the table adds them up."""

import dataclasses
import sys

import pytest

from benchmarks import pieces, turns
from benchmarks.workload import Workload

TINY = Workload(batch_size=2, timesteps=3, vocabulary_size=20, embedding_dim=4, hidden_dim=5)


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_the_table_adds_the_pieces_up():
    seconds = dict.fromkeys(pieces.SUMMED, [0.1, 0.1, 0.7])
    seconds |= {pieces.WHOLE: [1.0], pieces.AVERAGED_UPDATE: [0.2]}
    row = {"name": "awd_keras_pieces", "dtype": "float32", "framework": "F", "pieces": seconds}
    by_name = {cells(line)[0]: cells(line) for line in pieces.table(row)[2:]}
    assert by_name[pieces.SOFTMAX][1:] == ["100", "100 to 700", "10.0%"]
    assert by_name["sum of these"][1::2] == ["900", "90.0%"]
    assert by_name["whole step less the sum"][1::2] == ["100", "10.0%"]
    assert by_name[pieces.AVERAGED_UPDATE][1] == "200"


def test_a_dtype_that_did_not_run_is_named():
    row = {"name": "awd_keras_pieces", "dtype": "bfloat16", "problem": "killed"}
    assert pieces.report([row], TINY)[-1] == "bfloat16: not measured: killed"


@pytest.mark.slow
def test_every_piece_is_measured(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 0.0)
    workloads = [TINY, dataclasses.replace(TINY, dtype="bfloat16")]
    rows = pieces.measure(workloads, {"awd_keras": sys.executable}, rounds=2)
    for row in rows:
        assert set(row["pieces"]) == {*pieces.SUMMED, pieces.WHOLE, pieces.AVERAGED_UPDATE}
        assert all(len(seconds) == 2 for seconds in row["pieces"].values())
        assert len(pieces.table(row)) == 2 + len(pieces.SUMMED) + 4
