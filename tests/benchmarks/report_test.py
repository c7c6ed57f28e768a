"""Tests of what all tables share."""

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
