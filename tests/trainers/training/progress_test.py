"""Tests of the lines a user sees during a run."""

import io
import os
import pty

import pytest

from awd_keras.optimizers import NonMonotonicTrigger
from tests.trainers.training import tiny
from trainers.training import RunFolder, progress
from trainers.training.checkpoint import TrainingState
from trainers.training.progress import MetricsLog, Progress, duration


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


class TestLiveLine:
    @pytest.fixture
    def live_line(self, monkeypatch, tmp_path):
        """A function that returns the live line after ten seconds of a run."""

        def live_line(state, loss, device="CPU", **settings):
            monkeypatch.setattr(progress, "device_label", lambda: device)
            monkeypatch.setattr(progress.time, "monotonic", lambda: 0.0)
            config = tiny.make_config(batch_size=10, **settings)
            stream = io.StringIO()
            log = MetricsLog(config, RunFolder(tmp_path), Progress(stream=stream), 1000, state)
            monkeypatch.setattr(progress.time, "monotonic", lambda: 10.0)
            state.tokens += 5000
            log.live(state, loss)
            return stream.getvalue()

        return live_line

    @pytest.mark.parametrize("tensorboard", [False, True])
    def test_has_the_device_the_speed_and_the_time_left(self, live_line, tensorboard):
        state = TrainingState([], NonMonotonicTrigger(), position=500)
        assert live_line(state, 5.0, epochs=2, tensorboard=tensorboard) == (
            "epoch 1/2   50%  0:10 left (run 0:30)  perplexity 148.4  500 tokens/s, CPU\n"
        )

    def test_a_long_line_fits_in_100_columns(self, live_line):
        state = TrainingState([], NonMonotonicTrigger(), epoch=122, position=999, tokens=10)
        line = live_line(state, 40.0, "8 GPUs", epochs=750)
        assert "perplexity 2.4e+17  " in line and len(line) <= 100

    def test_there_is_none_after_the_last_epoch(self, live_line):
        assert live_line(TrainingState([], NonMonotonicTrigger(), epoch=2), 5.0, epochs=2) == ""
