"""Settings of precision for a block of code, put back at its end."""

import contextlib

import keras
import tensorflow as tf


@contextlib.contextmanager
def floatx(name):
    """Keras's float type, and the dtype policy of that name, inside a `with` block.

    Args:
        name: "float32" or "float64".

    Example:

    >>> with floatx("float64"):
    ...     keras.layers.Dense(1).compute_dtype
    'float64'
    """
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)


@contextlib.contextmanager
def tensor_float_32(enabled):
    """Whether a GPU may round the factors of float32 products to TF32, inside a `with` block.

    cuDNN's kernels remember what held when they first met a shape, so a function that is to take
    notice must be traced inside.

    Args:
        enabled: bool.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(enabled)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
