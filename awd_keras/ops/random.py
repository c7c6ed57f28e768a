"""Random masks and numbers as pure functions of a seed.

Every seed is an int32 tensor of shape (2,). Nothing random has a state, so a resumed run
draws the masks that the unbroken run would have drawn, and a mask is the same on every replica
that folds the same numbers into its seed.
"""

import tensorflow as tf

# Named, so that a machine's default generator never changes a mask.
_ALGORITHM = "philox"


def run_seed(seed):
    """The seed of a whole run, from the integer on the command line.

    Args:
        seed: int, non-negative.

    Returns:
        int32 tensor of shape (2,).

    Example:

    >>> run_seed(141).numpy().tolist()
    [141, 0]
    """
    return tf.constant([seed & 0x7FFFFFFF, seed >> 31], tf.int32)


def fold_in(seed, data):
    """A new seed from a seed and an integer: a layer's index, a step, a replica.

    Args:
        seed: int32 tensor of shape (2,).
        data: int or scalar integer tensor.

    Returns:
        int32 tensor of shape (2,). Different for different `data`.
    """
    return tf.random.experimental.stateless_fold_in(seed, data, alg=_ALGORITHM)


def uniform(shape, seed, dtype=tf.float32):
    """Random numbers in [0, 1).

    Args:
        shape: shape of the tensor.
        seed: int32 tensor of shape (2,).
        dtype: float32, or float64 where 2**23 different numbers are too few.

    Returns:
        tensor of the given shape and dtype.
    """
    return tf.random.stateless_uniform(shape, seed, dtype=dtype, alg=_ALGORITHM)


def dropout_mask(shape, rate, seed, dtype):
    """A mask that is 0 with probability `rate` and `1 / (1 - rate)` otherwise.

    Args:
        shape: shape of the mask.
        rate: probability of dropping an entry, in [0, 1), taken to the nearest 1/65536.
        seed: int32 tensor of shape (2,).
        dtype: dtype of the mask. The draw itself does not depend on it, so one seed drops the
            same entries in every dtype.

    Returns:
        tensor of the given shape and dtype, with expectation 1.
    """
    # A quarter or half of a 32-bit word for each entry: drawing costs as much as all the rest.
    bits, small = (8, tf.int8) if (rate * 2**8).is_integer() else (16, tf.int16)
    num_entries = tf.reduce_prod(tf.cast(shape, tf.int32))
    num_words = -(-num_entries // (32 // bits))
    words = tf.random.stateless_uniform(
        [num_words], seed, minval=None, maxval=None, dtype=tf.int32, alg=_ALGORITHM
    )
    draws = tf.reshape(tf.bitcast(words, small), (-1,))[:num_entries]
    least_kept = min(round(rate * 2**bits), 2**bits - 1) - 2 ** (bits - 1)
    kept = tf.cast(tf.reshape(draws, shape) >= least_kept, dtype)
    return kept * tf.constant(1.0 / (1.0 - rate), dtype)
