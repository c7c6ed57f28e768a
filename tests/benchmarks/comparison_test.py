"""Tests of the comparison with the peers: it runs, and its table says what was measured."""

import sys

import pytest

from benchmarks import comparison, turns
from benchmarks.workload import Workload

TINY = Workload(batch_size=2, timesteps=3, vocabulary_size=20, embedding_dim=4, hidden_dim=5)


def row(name, seconds, dtype="float32"):
    return {
        "name": name,
        "dtype": dtype,
        "seconds": seconds,
        "framework": "F 1.0",
        "first_seconds": 2.0,
        "product_rate": 1e9,
        "peak": 100.0,
    }


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


class TestTable:
    def test_ratio_is_to_the_fastest_peer_and_of_medians(self):
        rows = [row("awd_keras", [1.0, 9.0, 2.0])]
        rows += [row("torch_lstm", [3.0]), row("keras_lstm", [4.0])]
        lines = comparison.table(rows, TINY, training=True)
        ours, torch, keras = (cells(line) for line in lines[2:])
        assert ours[2] == "2000" and ours[3] == "1000 to 9000" and ours[4] == "3"
        assert [line[5] for line in (ours, torch, keras)] == ["1.50", "1.00", "0.75"]
        share = TINY.multiply_adds(training=True) / 2.0 / 1e9
        assert ours[6] == f"{share:.0%}"

    def test_bfloat16_competes_with_every_precision(self):
        rows = [row("awd_keras", [1.0], "bfloat16"), row("torch_lstm", [2.0])]
        rows += [row("torch_lstm", [4.0], "bfloat16")]
        assert cells(comparison.table(rows, TINY, training=True)[2])[5] == "2.00"

    def test_what_is_missing_is_named(self):
        missing = {"name": "fastai_lstm", "dtype": "float32", "seconds": [], "problem": "No module"}
        lines = comparison.table([row("awd_keras", [1.0]), missing], TINY, training=True)
        assert "not measured: No module" in lines[3] and "fastai" in lines[3]
        assert cells(lines[2])[5] == "no peer"


class TestSplitOfRatio:
    def test_the_ratio_is_the_product_of_both_parts(self):
        ours, peer = row("awd_keras", [1.0]), row("torch_lstm", [3.0])
        ours["product_rate"] = 2 * peer["product_rate"]
        slow = row("keras_lstm", [9.0])
        (line,) = comparison.split_of_ratio([ours, slow, peer])
        assert line.startswith("float32") and "3.00 (torch.nn.LSTM" in line
        assert "the BLAS gives 2.00" in line and "the rest, 1.50, is ours" in line

    def test_a_line_for_each_dtype(self):
        rows = [row("awd_keras", [1.0]), row("awd_keras", [1.0], "bfloat16")]
        rows.append(row("torch_lstm", [2.0], "bfloat16"))
        first, second = comparison.split_of_ratio(rows)
        assert first == "float32: no ratio, no peer was measured."
        assert second.startswith("bfloat16: of the ratio to the fastest peer, 2.00")


class TestMeasure:
    @pytest.fixture(autouse=True)
    def no_pauses(self, monkeypatch):
        monkeypatch.setattr(turns, "PAUSE_SECONDS", 0.0)

    @pytest.mark.parametrize(
        "task",
        [
            pytest.param("train_step", marks=pytest.mark.slow),
            pytest.param("evaluate", marks=pytest.mark.slow),
            "generate",
        ],
    )
    def test_measures_side_by_side(self, task):
        names = ["awd_keras", "keras_lstm"] if task == "train_step" else ["awd_keras"]
        pythons = dict.fromkeys(names, sys.executable)
        rows = comparison.measure([TINY], names, pythons, task, rounds=2, product_size=64)
        for measured in rows:
            assert "problem" not in measured
            assert len(measured["seconds"]) == 2 and min(measured["seconds"]) > 0
            assert measured["framework"].startswith("TensorFlow")
            assert measured["product_rate"] > 0 and measured["peak"] > 0

    def test_a_missing_interpreter_is_a_row(self):
        pythons = {"torch_lstm": "/no/python"}
        rows = comparison.measure([TINY], ["torch_lstm"], pythons, "evaluate", rounds=1)
        assert "python" in rows[0]["problem"] and rows[0]["seconds"] == []
