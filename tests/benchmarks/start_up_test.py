"""Tests of the start: each wait is measured in a process of its own."""

import pytest

from benchmarks import start_up
from benchmarks.workload import Workload

TINY = Workload(batch_size=2, timesteps=3, vocabulary_size=20, embedding_dim=4, hidden_dim=5)


def test_help_is_found_and_timed():
    assert 0 < start_up.help_seconds() < 60


def test_help_that_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(start_up, "HELP", "python -m trainers.no_such_trainer --help")
    with pytest.raises(RuntimeError, match="no_such_trainer"):
        start_up.help_seconds()


def test_report_has_the_medians():
    rows = [{"name": start_up.HELP, "dtype": None, "seconds": [0.5, 0.25, 2.0]}]
    rows.append({"name": start_up.FIRST, "dtype": "float32", "seconds": [8.0]})
    lines = start_up.report(rows, TINY)
    assert lines[-2:] == [
        "| python -m trainers.ptb --help |  | 0.50 | 0.25 to 2.00 |",
        "| first step, traced | float32 | 8.00 | 8.00 to 8.00 |",
    ]


@pytest.mark.slow
def test_the_first_steps_are_measured_in_a_fresh_process():
    rows = start_up.measure([TINY], rounds=1)
    names = [start_up.HELP, start_up.MODEL, start_up.FIRST, start_up.SECOND]
    assert [row["name"] for row in rows] == names
    assert all(len(row["seconds"]) == 1 for row in rows)
