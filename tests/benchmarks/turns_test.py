"""Tests of taking turns: the order changes, and nobody is left out in silence."""

import sys

import pytest

from benchmarks import turns
from benchmarks.workload import Workload

TINY = Workload(batch_size=2, timesteps=3, vocabulary_size=20, embedding_dim=4, hidden_dim=5)
PYTHONS = dict.fromkeys("abc", sys.executable)


class FakeWorker:
    """Answers with its own name; "b" dies when it is asked for "death"."""

    open = 0

    def __init__(self, name, workload, python):
        if python == "/no/python":
            raise FileNotFoundError(python)
        self.name, self.started = name, {"framework": f"{name} 1.0"}
        FakeWorker.open += 1

    def ask(self, task, **arguments):
        if task == "death" and self.name == "b":
            raise RuntimeError("killed")
        return {"result": self.name, **arguments}

    def close(self):
        FakeWorker.open -= 1


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(turns, "Worker", FakeWorker)


@pytest.mark.usefixtures("fake")
class TestTurns:
    def test_who_goes_first_changes(self):
        with turns.Turns("abc", [TINY], PYTHONS) as implementations:
            orders = [
                "".join(answer["result"] for _, answer in implementations.ask("x", first=turn))
                for turn in range(4)
            ]
        assert orders == ["abc", "bca", "cab", "abc"]

    def test_arguments_go_to_all_and_processes_end(self):
        with turns.Turns("ab", [TINY], PYTHONS) as implementations:
            answers = [answer for _, answer in implementations.ask("x", pause=False, repeat=3)]
            assert [answer["repeat"] for answer in answers] == [3, 3] and FakeWorker.open == 2
        assert FakeWorker.open == 0

    def test_one_that_dies_is_a_row_with_a_problem(self):
        with turns.Turns("abc", [TINY], PYTHONS) as implementations:
            left = [row["name"] for row, _ in implementations.ask("death")]
            assert left == ["a", "c"] == [row["name"] for row, _ in implementations.ask("x")]
            assert implementations.rows[1]["problem"] == "killed"

    def test_one_that_does_not_start_is_a_row_with_a_problem(self):
        with turns.Turns("ab", [TINY], {**PYTHONS, "a": "/no/python"}) as implementations:
            first, second = implementations.rows
            assert "/no/python" in first["problem"] and second["framework"] == "b 1.0"
            assert [row["name"] for row, _ in implementations.ask("x", first=1)] == ["b"]


def test_a_framework_that_is_not_installed_says_so():
    pythons = {"no_such_framework": sys.executable}
    with turns.Turns(["no_such_framework"], [TINY], pythons) as implementations:
        assert "no_such_framework" in implementations.rows[0]["problem"]
