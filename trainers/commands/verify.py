"""Verifies that the library computes the right numbers on this machine."""

import functools
import math
import platform

import keras
import numpy as np
import tensorflow as tf

from awd_keras.version import __version__
from trainers.table import format_table
from trainers.training.distribution import describe_devices
from trainers.verification import adaptive_softmax, kernels, reference_vectors, resume


def main():
    """Runs all checks and prints their table. Returns 1 if one failed, else 0."""
    print(
        f"awd-keras {__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"Python {platform.python_version()}, {describe_devices()}\n",
        flush=True,
    )
    tf.get_logger().setLevel("ERROR")  # TensorFlow warns about functions traced repeatedly
    # Otherwise, a GPU may round the operands of float32 matmuls to TF32 (ten mantissa bits).
    tf.config.experimental.enable_tensor_float_32_execution(False)
    rows, failed = [["check", "result", "error", "limit", "where"]], 0
    for name, limit, compare in all_checks():
        error, where = largest_error(compare)
        passed = error <= limit
        failed += not passed
        rows.append([name, "ok" if passed else "FAILED", f"{error:.2g}", f"{limit:.2g}", where])
    print(format_table(rows, left=(0, 1, 4)))
    print(f"\n{len(rows) - 1 - failed} checks passed, {failed} failed")
    return 1 if failed else 0


def all_checks():
    """Yields (name, largest accepted error, function for `largest_error`); cuDNN needs a GPU."""
    for dtype, limit in reference_vectors.LIMITS.items():
        compare = functools.partial(reference_vectors.compare_model, dtype)
        yield f"reference vectors, {dtype}", limit, compare
    for (implementation, dtype), limit in kernels.LIMITS.items():
        if implementation == "portable" or tf.config.list_logical_devices("GPU"):
            compare = functools.partial(kernels.compare_kernels, implementation, dtype)
            yield f"{implementation} LSTM, {dtype}", limit, compare
    for (cell, implementation, dtype), limit in kernels.CELL_LIMITS.items():
        if implementation != "cudnn" or tf.config.list_logical_devices("GPU"):
            compare = functools.partial(kernels.compare_cells, cell, implementation, dtype)
            yield f"{implementation} {cell.upper()}, {dtype}", limit, compare
    yield "training step under XLA, float32", 1e-4, kernels.compare_xla_step
    yield "adaptive softmax, float32", adaptive_softmax.LIMIT, adaptive_softmax.compare
    yield "resumed run, bit for bit", 0.0, resume.compare_runs


def largest_error(compare):
    """Returns `(error, name)`, the largest relative error among the comparisons of a function."""
    try:
        errors = [(relative_error(actual, expected), name) for name, actual, expected in compare()]
    except Exception as error:  # one broken kernel must not hide the other results
        return math.nan, f"{type(error).__name__}: {str(error).strip()}"
    return max(errors, key=lambda pair: (math.isnan(pair[0]), pair[0]))


def relative_error(actual, expected):
    """Computes `max|actual - expected| / max|expected|`, or the absolute error if all are zero."""
    actual, expected = (
        keras.ops.convert_to_numpy(values).astype("float64") for values in (actual, expected)
    )
    if actual.shape != expected.shape:
        return math.inf
    scale = np.max(np.abs(expected), initial=0.0)
    return float(np.max(np.abs(actual - expected), initial=0.0) / (scale or 1.0))
