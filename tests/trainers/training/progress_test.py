"""Tests of the lines a user sees during a run."""

import io
import os
import pty

import pytest

from trainers.training import progress
from trainers.training.progress import Progress, duration


@pytest.fixture(autouse=True)
def always_time(monkeypatch):
    monkeypatch.setattr(progress, "_TERMINAL_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_PLAIN_SECONDS", 0.0)


@pytest.fixture
def terminal():
    """A stream that is a terminal, and a function that returns what it has shown."""
    master, slave = pty.openpty()
    stream = open(slave, "w", encoding="utf-8")

    def shown():
        # What has been written may come in pieces.
        stream.write("END")
        stream.flush()
        text = ""
        while not text.endswith("END"):
            text += os.read(master, 10_000).decode()
        return text.removesuffix("END").replace("\r\n", "\n")

    yield stream, shown
    stream.close()
    os.close(master)


class TestPlain:
    def test_lines_only(self):
        stream = io.StringIO()
        shown = Progress(stream=stream)
        shown.line("one")
        shown.live(lambda: "two")
        shown.close()
        shown.line("three")
        assert stream.getvalue() == "one\ntwo\nthree\n"

    def test_live_lines_are_rare(self, monkeypatch):
        monkeypatch.setattr(progress, "_PLAIN_SECONDS", 1000.0)
        stream = io.StringIO()
        shown = Progress(stream=stream)
        shown.live(lambda: pytest.fail("asked too early"))
        assert stream.getvalue() == ""

    def test_the_log_has_the_lines_of_all_runs(self, tmp_path):
        log = tmp_path / "log.txt"
        for text in ("first é", "second"):
            Progress(log, io.StringIO()).line(text)
        assert log.read_text(encoding="utf-8") == "first é\nsecond\n"


class TestTerminal:
    def test_the_live_line_is_written_over(self, terminal, tmp_path):
        stream, shown = terminal
        log = tmp_path / "log.txt"
        display = Progress(log, stream)
        display.live(lambda: "epoch 1  10%")
        display.live(lambda: "epoch 1")
        assert shown() == "\repoch 1  10%\repoch 1     "
        display.line("validated")
        assert shown() == "\r       \rvalidated\n"
        assert log.read_text() == "validated\n"

    def test_a_line_never_wraps(self, terminal, monkeypatch):
        stream, shown = terminal
        monkeypatch.setenv("COLUMNS", "20")
        Progress(stream=stream).live(lambda: "x" * 50)
        assert shown() == "\r" + "x" * 19


def test_duration():
    assert [duration(s) for s in (0, 59.6, 61, 3599.4, 3600, 360_000)] == [
        "0:00",
        "1:00",
        "1:01",
        "59:59",
        "1:00:00",
        "100:00:00",
    ]
