"""Random masks and numbers as pure functions of a seed.

Seeds are int32 tensors of shape `(2,)`. There is no random state, so a resumed run draws the same
masks as an uninterrupted one, and replicas with the same seed draw the same mask.
"""

import tensorflow as tf

# Set explicitly, so that masks do not depend on the default generator of a device.
ALGORITHM = "philox"


def run_seed(seed):
    """Converts the integer seed of a run to a seed tensor.

    Args:
        seed: Non-negative integer.

    Returns:
        Int32 tensor of shape `(2,)`.

    Example:

    >>> run_seed(141).numpy().tolist()
    [141, 0]
    """
    return tf.constant([seed & 0x7FFFFFFF, seed >> 31], tf.int32)


def fold_in(seed, data):
    """Derives a new seed from a seed and an integer, such as a step or the index of a layer.

    Args:
        seed: Int32 tensor of shape `(2,)`.
        data: Integer or integer scalar tensor.

    Returns:
        Int32 tensor of shape `(2,)`.
    """
    return tf.random.experimental.stateless_fold_in(seed, data, alg=ALGORITHM)


def dropout_mask(shape, rate, seed, dtype):
    """Draws a mask of 0 (with probability `rate`) and `1 / (1 - rate)`.

    Args:
        shape: Shape of the mask.
        rate: Probability of dropping an entry, in the range `[0, 1)`. It is rounded to a multiple
            of 1/65536.
        seed: Int32 tensor of shape `(2,)`.
        dtype: Dtype of the mask. It does not affect which entries are dropped.

    Returns:
        Tensor of the given shape and dtype, with expectation 1.
    """
    # Generating random numbers takes half of the time, so each entry uses only 8 or 16 bits of one.
    bits, small = (8, tf.int8) if float(rate * 2**8).is_integer() else (16, tf.int16)
    num_entries = tf.reduce_prod(tf.cast(shape, tf.int32))
    num_words = -(-num_entries // (32 // bits))
    words = tf.random.stateless_uniform(
        [num_words], seed, minval=None, maxval=None, dtype=tf.int32, alg=ALGORITHM
    )
    draws = tf.reshape(tf.bitcast(words, small), (-1,))[:num_entries]
    min_kept = min(round(rate * 2**bits), 2**bits - 1) - 2 ** (bits - 1)
    kept = tf.cast(tf.reshape(draws, shape) >= min_kept, dtype)
    return kept * tf.constant(1.0 / (1.0 - rate), dtype)
