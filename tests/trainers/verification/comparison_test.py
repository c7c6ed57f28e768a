"""Tests of the comparison of tensors."""

import math

import numpy as np
import pytest

from trainers.verification import largest_error, relative_error


def test_relative_error():
    assert relative_error(np.ones(3), np.ones(2)) == math.inf
    assert relative_error([0.5], [0.0]) == 0.5
    assert math.isnan(relative_error([math.nan, 5.0], [1.0, 1.0]))
    assert relative_error(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0


def test_nan_is_the_largest_error():
    pairs = [("a", [math.nan], [1.0]), ("b", [9.0], [1.0]), ("c", [1.0], [1.0])]
    assert largest_error(lambda: pairs[1:]) == (8.0, "b")
    error, name = largest_error(lambda: pairs)
    assert math.isnan(error) and name == "a"


def test_exceptions():
    error, message = largest_error(lambda: 1 / 0)
    assert math.isnan(error) and message == "ZeroDivisionError: division by zero"

    def full():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        largest_error(full)
