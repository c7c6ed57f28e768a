"""Tests of the comparison of implementations, with tiny models."""

import importlib
import json
import sys

import numpy as np
import pytest

from benchmarks import comparison, serving, train_step
from benchmarks.implementations import LABELS, exported
from benchmarks.worker import ROOT, Worker
from benchmarks.workload import Workload

SIZES = {"vocabulary_size": 30, "embedding_dim": 4, "hidden_dim": 5, "num_layers": 2}
TINY = Workload(batch_size=2, timesteps=3, **SIZES)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(comparison, "_PAUSE_SECONDS", 0.0)


def row(name, seconds, dtype="float32", problem=None):
    seconds = [seconds] if problem is None else []
    details = {"dtype": dtype, "framework": "F 1", "problem": problem}
    return {"name": name, "seconds": seconds, **details}


def test_speeds_are_relative_to_the_fastest_peer_and_the_baseline():
    ours, small = row("awd_keras", 2.0), row("awd_keras", 1.0, "bfloat16")
    rows = [ours, small, row("torch_lstm", 3.0), row("fastai_lstm", 4.0)]
    rows += [row("torch_lstm", 2.5, "bfloat16"), row("baseline", 1.0)]
    rows.append(row("keras_lstm", None, problem="killed"))
    assert comparison.relative_speed(ours, rows) == (1.5, 2.0)
    assert comparison.relative_speed(small, rows) == (2.5, None)
    assert comparison.relative_speed(ours, [ours]) == (None, None)


def test_a_table_names_what_was_not_measured():
    rows = [row("awd_keras", 0.5), row("torch_lstm", None, problem="No module named 'torch'")]
    header, _, ours, peer = comparison.table(rows, num_tokens=10)
    assert ours.split(" | ")[2:4] == ["500 (500 to 500)", "20"]
    assert "not measured: No module named 'torch'" in peer
    assert len({line.count("|") for line in (header, ours, peer)}) == 1


def test_a_worker_that_cannot_start_has_a_problem():
    missing = Worker("awd_keras", TINY, python="/no/python")
    unknown = Worker("no_such_framework", TINY, python=sys.executable)
    assert "/no/python" in missing.problem and "no_such_framework" in unknown.problem
    assert missing.ask("train_step", repeat=1) is None
    for worker in (missing, unknown):
        worker.close()


def test_a_benchmark_from_the_command_line(monkeypatch, capsys, tmp_path):
    output = tmp_path / "output.json"
    sizes = [f"--{name}={size}" for name, size in {**SIZES, "timesteps": 3}.items()]
    names = ["--implementations", "awd_keras", f"--baseline={ROOT}"]
    command = [*sizes, *names, "--batch_size", "2", "--rounds=1", f"--output={output}"]
    monkeypatch.setattr(sys, "argv", ["train_step", *command])
    train_step.main()
    (measurement,) = json.loads(output.read_text())["measurements"]
    ours, baseline = measurement["rows"]
    assert (ours["name"], baseline["name"]) == ("awd_keras", "baseline")
    assert ours["problem"] is None and baseline["problem"] is None
    assert LABELS["awd_keras"] in capsys.readouterr().out


@pytest.mark.parametrize("name", ["awd_keras", "keras_lstm"])
def test_training_evaluation_and_generation(name):
    implementation = importlib.import_module(f"benchmarks.implementations.{name}")
    implementation = implementation.Implementation(TINY)
    for task in ("train_step", "evaluate", "generate"):
        assert np.isfinite(getattr(implementation, task)(0)), task


def test_calls_of_an_export():
    implementation = exported.Implementation(TINY)
    for call in serving.CALLS:
        assert getattr(implementation, call)(0) > 0


@pytest.mark.parametrize("name", ["torch_lstm", "torch_served", "fastai_lstm"])
def test_peers_run_where_they_are_installed(name):
    pytest.importorskip({"fastai_lstm": "fastai"}.get(name, "torch"))
    worker = Worker(name, TINY)
    served = name == "torch_served"
    for task in serving.CALLS if served else ("train_step", "evaluate", "generate"):
        answer = worker.ask(task, repeat=2)
        assert worker.problem is None and np.isfinite(answer["result"]), task
    worker.close()


def test_the_text_is_a_function_of_the_window():
    text = TINY.text(7)
    assert text.shape == (2, 4) and text.dtype == np.int32
    np.testing.assert_array_equal(text, TINY.text(7))
    assert np.any(text != TINY.text(8))
