"""Tests of what all tables share."""

import pytest

from benchmarks import report


def test_markdown_aligns_numbers_and_fills_up_short_rows():
    lines = report.markdown(["a", "b", "c"], [["x", "y", "1"], ["z"]], text_columns=2)
    assert lines == [
        "| a | b | c |",
        "| --- | --- | ---: |",
        "| x | y | 1 |",
        "| z |  |  |",
    ]


def test_milliseconds_are_median_and_range():
    assert report.milliseconds([0.003, 0.001, 0.002]) == ["2", "1 to 3"]


def test_the_machine_is_named():
    assert "cores; Python 3." in report.machine()


class TestGPUs:
    @pytest.fixture
    def nvidia_smi(self, tmp_path, monkeypatch):
        """Function that puts a program of that name on the PATH."""
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

        def make(script):
            program = tmp_path / "nvidia-smi"
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)

        return make

    def test_each_is_named(self, nvidia_smi):
        nvidia_smi("echo NVIDIA H100; echo NVIDIA T4")
        assert report.gpus() == "; NVIDIA H100; NVIDIA T4"
        assert " cores; NVIDIA H100; NVIDIA T4; Python" in report.machine()

    def test_a_driver_that_fails(self, nvidia_smi):
        nvidia_smi("echo no driver; exit 9")
        assert report.gpus() == ""

    def test_none(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert report.gpus() == ""
