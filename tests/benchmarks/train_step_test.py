"""Tests of the one command: it runs the tasks that are asked for, and keeps what they found."""

import json
import sys

import pytest

from benchmarks import comparison, epoch, growth, pieces, softmax, start_up, train_step


@pytest.fixture
def called(monkeypatch):
    """Stands for all measurements; a list of what was called."""
    calls = []

    def stand_in(module):
        def measure(*args):
            calls.append((module.__name__.rpartition(".")[2], args))
            return []

        monkeypatch.setattr(module, "measure", measure)

    for module in (comparison, growth, pieces, epoch, start_up, softmax):
        stand_in(module)
    monkeypatch.setattr(softmax, "report", lambda results: ["softmax"])
    return calls


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train_step", *arguments])
    train_step.main()


def test_one_command_measures_everything(monkeypatch, called, tmp_path, capsys):
    path = tmp_path / "out.json"
    run(monkeypatch, "--batch_size", "3", "--dtype", "float32", "bfloat16", f"--output={path}")
    names = [name for name, _ in called]
    assert names == ["comparison"] * 3 + ["growth", "pieces", "epoch", "start_up", "softmax"]
    assert list(json.loads(path.read_text())) == ["machine", *train_step._TASKS]
    workloads = called[0][1][0]
    assert [(w.dtype, w.batch_size) for w in workloads] == [("float32", 3), ("bfloat16", 3)]
    printed = capsys.readouterr().out
    assert "train_step, batch 3, 70 time steps" in printed and "softmax" in printed


def test_a_task_by_itself_in_other_sizes(monkeypatch, called):
    run(
        monkeypatch,
        "--task",
        "growth",
        "--hidden_dim=7",
        "--implementations",
        "fastai_lstm",
        "torch_lstm",
        "--growth_batch_size",
        "1",
        "2",
    )
    ((name, (workloads, names, _, _, batch_sizes, _)),) = called
    assert (name, names, batch_sizes) == ("growth", ["torch_lstm"], [1, 2])
    assert workloads[0].hidden_dim == 7


def test_the_size_of_the_product(monkeypatch, called):
    run(monkeypatch, "--task", "generate", "--product_size=12288")
    assert called[0][1][-1] == 12288


def test_a_task_that_fails_is_named_and_the_next_one_runs(monkeypatch, called, capsys):
    def fail(*_):
        raise RuntimeError("no memory left")

    monkeypatch.setattr(start_up, "measure", fail)
    run(monkeypatch, "--task", "start_up", "large_vocabulary")
    assert "start_up: not measured: no memory left\n\nsoftmax" in capsys.readouterr().out
