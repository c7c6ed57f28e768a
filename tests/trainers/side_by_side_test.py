"""Tests of runs side by side: what is shown of them while they go on."""

import os
from unittest import mock

from trainers import side_by_side


def test_the_log_says_where_a_job_is(tmp_path):
    job = side_by_side.Job("full", ((None, tmp_path / "run"), (None, tmp_path / "run-finetuned")))
    assert side_by_side.last_line_of_log(job) == "begins"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.txt").write_text("x" * 9000 + "\nepoch 1\nepoch 2, half of it\n")
    assert side_by_side.last_line_of_log(job) == "epoch 2, half of it"
    (tmp_path / "run-finetuned").mkdir()
    assert side_by_side.last_line_of_log(job) == "epoch 2, half of it"
    (tmp_path / "run-finetuned" / "log.txt").write_text("starting from the best weights\n")
    assert side_by_side.last_line_of_log(job) == "starting from the best weights"


def test_side_by_side_the_logs_are_shown_once_a_minute(tmp_path, capfd, monkeypatch):
    (tmp_path / "log.txt").write_text("epoch 3\n")

    class Process:
        polls = 0

        def __init__(self, job, environment, keep_open):
            self.job, self.process = job, mock.MagicMock()

        @property
        def code(self):
            self.polls += 1
            return None if self.polls < 700 else 0

    clock = [0.0]
    monkeypatch.setattr(side_by_side, "_Process", Process)

    def sleep(seconds):
        clock[0] += seconds

    monkeypatch.setattr(side_by_side, "time", mock.Mock(monotonic=lambda: clock[0], sleep=sleep))
    job = side_by_side.Job("full, seed 7", ((None, tmp_path),))
    assert side_by_side.run_side_by_side([job], 2, lambda *_: None)
    assert capfd.readouterr().out == "full, seed 7: epoch 3\n" * 2


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    threads = [
        side_by_side.process_environment(count)["TF_NUM_INTRAOP_THREADS"] for count in (1, 3, 20)
    ]
    assert threads == ["8", "2", "1"]
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    assert side_by_side.process_environment(3)["TF_NUM_INTRAOP_THREADS"] == "5"
