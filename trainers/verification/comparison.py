"""How far apart two tensors are."""

import math

import keras
import numpy as np


def largest_error(compare):
    """Returns the largest relative error among the (name, actual, expected) of `compare()`.

    Returns:
        `(error, name)`. If `compare` raises anything but `OSError`, NaN and the message.
    """
    try:
        errors = [(relative_error(actual, expected), name) for name, actual, expected in compare()]
    except OSError:  # a full disk, for example, says nothing about the library
        raise
    except Exception as error:  # one broken kernel must not hide the other results
        message = (str(error).strip().splitlines() or [""])[-1]
        return math.nan, f"{type(error).__name__}: {message}"
    return max(errors, key=lambda pair: (math.isnan(pair[0]), pair[0]))


def relative_error(actual, expected):
    """Computes `max|actual - expected| / max|expected|`.

    Args:
        actual: Tensor or array.
        expected: Tensor or array of the same shape. If it is zero everywhere, the result is the
            absolute error.

    Returns:
        A float: infinite if the shapes differ, NaN if a value is NaN.

    Example:

    >>> relative_error([1.0, 2.5], np.array([1.0, 2.0]))
    0.25
    """
    actual, expected = (
        keras.ops.convert_to_numpy(values).astype("float64") for values in (actual, expected)
    )
    if actual.shape != expected.shape:
        return math.inf
    scale = np.max(np.abs(expected), initial=0.0)
    return float(np.max(np.abs(actual - expected), initial=0.0) / (scale or 1.0))
