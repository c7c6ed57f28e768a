"""Tests of the outcome of a check."""

import math

import pytest

from trainers.verification import Check, measured


@pytest.mark.parametrize(
    ("figure", "result"),
    [
        (0.0, "ok"),
        (0.5, "ok"),
        (0.51, "FAILED"),
        (math.nan, "FAILED"),
        (math.inf, "FAILED"),
        (None, "FAILED"),
    ],
)
def test_result(figure, result):
    check = Check("name", figure, 0.5, "where")
    assert check.result == result
    assert (check.passed, check.failed) == (result == "ok", result == "FAILED")


def test_skipped_is_neither():
    check = Check("name", None, 0.5, "no GPU", skipped=True)
    assert check.result == "skipped" and not check.passed and not check.failed


def test_measured():
    assert measured("name", 1.0, lambda: (0.5, "here")) == Check("name", 0.5, 1.0, "here")


@pytest.mark.parametrize(
    ("message", "gist"),
    [
        ("cuDNN says no", "cuDNN says no"),
        ("in user code:\n\n    File 'x'\n\n    Error: cuDNN says no\n", "Error: cuDNN says no"),
        ("Graph execution error:\n\ncuDNN says no\n\t [[{{node LSTM}}]] [Op:f]", "cuDNN says no"),
        ("", "no message"),
    ],
)
def test_an_error_is_a_failure(message, gist):
    def fail():
        raise RuntimeError(message)

    check = measured("name", 1.0, fail)
    assert check.failed and check.detail == f"RuntimeError: {gist}"


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_says_nothing_of_the_check_is_raised(error):
    def fail():
        raise error

    with pytest.raises(type(error)):
        measured("name", 1.0, fail)
