"""Tests of the errors that a server or a client reports."""

from serving.status import StatusError


def test_a_message_fits_in_a_header():
    error = StatusError("NOT_FOUND", "x" * 10_000)
    assert error.code == "NOT_FOUND"
    assert error.message == "x" * 600 + " ..."
    assert StatusError("NOT_FOUND", "x" * 600).message == "x" * 600


def test_as_a_string_it_is_one_line():
    error = StatusError("NOT_FOUND", "of\nmany\n  lines")
    assert str(error) == "NOT_FOUND: of many lines"
    assert error.message == "of\nmany\n  lines"
