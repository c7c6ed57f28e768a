"""Whether the batch or time is the first axis."""

import tensorflow as tf


def transposed_ids(token_ids):
    """Turns word ids from batch-major to time-major, or back.

    Args:
        token_ids: integer tensor (batch_size, timesteps).

    Returns:
        int64 tensor (timesteps, batch_size). In int32 TensorFlow would take an operation of oneDNN
        that it does not have, and complain on the terminal.

    Example:

    >>> transposed_ids(tf.constant([[1, 2, 3]])).shape
    TensorShape([3, 1])
    """
    return tf.transpose(tf.cast(token_ids, tf.int64))
