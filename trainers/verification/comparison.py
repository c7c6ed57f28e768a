"""How far apart two tensors are."""

import math

import numpy as np
import tensorflow as tf


def to_numpy(values):
    """A tensor, variable or array as a NumPy array; half precision is widened to float32.

    Args:
        values: what there is; `IndexedSlices` are made dense.

    Returns:
        NumPy array.
    """
    if isinstance(values, tf.IndexedSlices):
        values = tf.convert_to_tensor(values)
    array = np.array(values.numpy() if hasattr(values, "numpy") else values)
    if array.dtype.name in ("bfloat16", "float16"):
        array = array.astype("float32")
    return array


def relative_error(actual, expected):
    """`max|actual - expected| / max|expected|`.

    Args:
        actual: tensor, variable or array.
        expected: the same, of the same shape. If it is zero everywhere, the difference itself is
            the error.

    Returns:
        float; infinite if the shapes differ, NaN if a number is none.

    Example:

    >>> relative_error([1.0, 2.5], np.array([1.0, 2.0]))
    0.25
    """
    actual, expected = to_numpy(actual), to_numpy(expected)
    if actual.shape != expected.shape:
        return math.inf
    scale = np.max(np.abs(expected))
    return float(np.max(np.abs(actual - expected)) / (scale if scale > 0 else 1.0))


def worst(comparisons):
    """The largest relative error of several tensors, each measured by itself.

    Args:
        comparisons: iterable of (name, actual, expected), at least one.

    Returns:
        `(error, name)`. A NaN is worse than any number.

    Example:

    >>> worst([("h", [1.0], [1.0]), ("c", [3.0], [2.0])])
    (0.5, 'c')
    """
    errors = [(relative_error(actual, expected), name) for name, actual, expected in comparisons]
    return max(errors, key=lambda error: (math.isnan(error[0]), error[0]))
