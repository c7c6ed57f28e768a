"""Whether the batch or time is the first axis."""

import tensorflow as tf


def transposed_ids(token_ids):
    """Exchanges the first two axes of word ids: batch-major to time-major, or back.

    Args:
        token_ids: integer tensor (batch_size, timesteps, ...).

    Returns:
        tensor (timesteps, batch_size, ...) of the same dtype.

    Example:

    >>> transposed_ids(tf.constant([[1, 2, 3]])).shape
    TensorShape([3, 1])
    """
    # For the transposition of integers TensorFlow looks for an operation of oneDNN, finds none, and
    # complains on the terminal; an einsum does not look.
    return tf.einsum("ij...->ji...", token_ids)
