"""Tests of the calls beside PyTorch's: they are timed, and the tables say what was measured."""

import sys

import pytest

from benchmarks import serving_calls
from benchmarks.implementations.exported import export
from benchmarks.workload import Workload

TINY = Workload(
    batch_size=2, timesteps=3, vocabulary_size=30, embedding_dim=4, hidden_dim=5, num_layers=2
)


def result(name, seconds, dtype="float32"):
    return {"name": name, "dtype": dtype, "framework": "F", "seconds": seconds}


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_percentiles_are_milliseconds():
    assert serving_calls.percentiles([0.001] * 100) == (1.0, 1.0)
    assert serving_calls.percentiles([0.002] * 99 + [1.0])[0] == 2.0


def test_weights_read_by_a_step():
    # Two LSTMs of (4, 5) and (5, 4), gates of 4; the tied matrix; biases.
    expected = 4 * 5 * (4 + 5 + 1) + 4 * 4 * (5 + 4 + 1) + 30 * (4 + 1)
    assert serving_calls.weight_bytes(TINY) == 4 * expected


class TestTable:
    def test_ratio_is_to_the_fastest_peer(self):
        rows = [result("exported", [0.002] * 3), result("torch_served", [0.003] * 3)]
        rows += [result("torch_served_compiled", [0.004] * 3, "bfloat16")]
        ours, eager, compiled = (cells(line) for line in serving_calls.table(rows, tokens=6)[2:])
        assert (ours[2], ours[4], ours[5]) == ("2.00", "3,000", "1.50")
        assert (eager[5], compiled[5]) == ("1.00", "0.75")

    def test_floor(self):
        lines = serving_calls.table([result("exported", [0.002])], tokens=1, floor=0.001)
        assert cells(lines[2])[5:] == ["no peer", "2.00"]

    def test_what_is_missing_is_named(self):
        missing = {"name": "torch_served", "dtype": "float32", "problem": "No module torch"}
        lines = serving_calls.table([result("exported", [0.1]), missing], tokens=1)
        assert cells(lines[3])[2] == "not measured: No module torch"


class TestVerdicts:
    def test_against_pytorch(self):
        rows = [result("exported", [0.002] * 3), result("torch_served", [0.003] * 3)]
        assert serving_calls.verdicts(rows, 8, "score") == [
            "float32 is 1.50 times as fast as PyTorch: at least 1.5 holds",
            "its p99 is 0.67 of PyTorch's: at most 1 holds",
        ]
        rows[1]["seconds"] = [0.001] * 3
        assert serving_calls.verdicts(rows, 8, "score") == [
            "float32 is 0.50 times as fast as PyTorch: at least 1.5 does not hold",
            "its p99 is 2.00 of PyTorch's: at most 1 does not hold",
        ]

    def test_a_step_of_one_row(self):
        rows = [result("exported", [0.002]), result("exported", [0.001], "int8")]
        assert serving_calls.verdicts(rows, 1, "step", floor=0.001) == [
            "float32 takes 2.00 of reading its weights: at most 1.3 does not hold",
            "the faster smaller form is 2.00 times as fast: at least 1.5 holds",
        ]

    def test_a_bfloat16_peer_is_no_rival_of_float32(self):
        rows = [result("exported", [0.002]), result("torch_served", [0.001], "bfloat16")]
        assert serving_calls.verdicts(rows, 8, "score") == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(TINY, tmp_path_factory.mktemp("export"))


def test_calls_are_timed_and_a_missing_peer_is_named(folder):
    names = [("exported", "float32"), ("torch_served", "float32")]
    python = sys.executable
    found = serving_calls.compare_calls(
        TINY, 2, ["step", "generate"], names, python, {"float32": folder}
    )
    for results in found.values():
        by_name = {row["name"]: row for row in results}
        assert len(by_name["exported"]["seconds"]) == 2
        assert all(0 < value < 60 for value in by_name["exported"]["seconds"])
        assert "problem" in by_name["torch_served"] or by_name["torch_served"]["seconds"]
