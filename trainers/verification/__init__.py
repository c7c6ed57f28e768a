"""Whether the library computes the right numbers on this machine."""

import functools

import tensorflow as tf

from trainers.verification import kernels, reference_vectors, resume
from trainers.verification.comparison import largest_error, relative_error

__all__ = ["all_checks", "largest_error", "relative_error"]


def all_checks():
    """Yields (name, largest accepted error, function for `largest_error`); cuDNN needs a GPU."""
    for dtype, limit in reference_vectors.LIMITS.items():
        compare = functools.partial(reference_vectors.compare_model, dtype)
        yield f"reference vectors, {dtype}", limit, compare
    for (implementation, dtype), limit in kernels.LIMITS.items():
        if implementation == "portable" or tf.config.list_logical_devices("GPU"):
            compare = functools.partial(kernels.compare_kernels, implementation, dtype)
            yield f"{implementation} LSTM, {dtype}", limit, compare
    yield "resumed run, bit by bit", 0.0, resume.compare_runs
