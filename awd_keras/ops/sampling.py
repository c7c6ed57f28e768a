"""Drawing the next word: what may be drawn, and a draw that is a pure function of its seed."""

import math

import tensorflow as tf

from awd_keras.ops.random import fold_in, uniform

# Stands for settings above 0 that are 0 in float32.
_TINY = 1e-30


def filtered_logits(logits, temperature, top_k, top_p):
    """The logits of what may be drawn; each row has settings of its own.

    First the temperature, then the `top_k` likeliest words, then of these the likeliest whose
    probabilities make up `top_p`. At least one word is left in each row.

    Args:
        logits: float tensor (batch_size, vocabulary_size). Words at minus infinity stay there.
        temperature: float tensor (batch_size,), at least 0: what the logits are divided by. 0
            leaves the likeliest word alone, the first of equals.
        top_k: integer tensor (batch_size,), at least 0: how many words are left; 0 for all.
        top_p: float tensor (batch_size,), in (0, 1]: the words left are the fewest, likeliest
            first, whose probabilities sum to at least this; 1 for all.

    Returns:
        float32 tensor (batch_size, vocabulary_size), minus infinity where a word was removed.

    Example:

    >>> logits = tf.math.log([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    >>> filtered = filtered_logits(logits, [1.0, 1.0], [0, 0], [0.6, 1.0])
    >>> print(tf.nn.softmax(filtered).numpy().round(3))
    [[0.625 0.375 0.   ]
     [0.5   0.3   0.2  ]]
    """
    logits = tf.cast(logits, tf.float32)
    temperature = tf.cast(temperature, tf.float32)[:, tf.newaxis]
    top_k = tf.cast(top_k, tf.int32)
    top_p = tf.maximum(tf.cast(top_p, tf.float32), _TINY)[:, tf.newaxis]
    vocabulary_size = tf.shape(logits)[1]
    # A temperature of 0 leaves one word. The largest logit is 0 from here on, so that dividing by
    # the smallest temperature gives 0 for it, minus infinity for the others, and no NaN.
    top_k = tf.where(temperature[:, 0] > 0, top_k, 1)
    top_k = tf.where(top_k > 0, top_k, vocabulary_size)[:, tf.newaxis]
    logits -= tf.reduce_max(logits, axis=1, keepdims=True)
    logits /= tf.maximum(tf.where(temperature > 0, temperature, 1.0), _TINY)

    def filtered():
        # Equal logits stay in the order of the words.
        best, words = tf.math.top_k(logits, k=vocabulary_size)
        kept = tf.range(vocabulary_size)[tf.newaxis] < top_k
        best = tf.where(kept, best, -math.inf)
        before = tf.cumsum(tf.nn.softmax(best), axis=1, exclusive=True)
        # A sum of floats may reach 1 before the last word does.
        kept = (before < top_p) | (top_p >= 1.0)
        best = tf.where(kept, best, -math.inf)
        rows = tf.broadcast_to(tf.range(tf.shape(logits)[0])[:, tf.newaxis], tf.shape(words))
        return tf.tensor_scatter_nd_update(logits, tf.stack([rows, words], axis=2), best)

    # Sorting takes longer than all the rest.
    is_needed = tf.reduce_any(top_k < vocabulary_size) | tf.reduce_any(top_p < 1.0)
    return tf.cond(is_needed, filtered, lambda: logits)


def sample_seeds(seed, samples):
    """The seeds of samples: a function of the seed and the number of each sample alone.

    Args:
        seed: int32 tensor (2,), such as `run_seed(7)`.
        samples: integer tensor (batch_size,): the number of each sample.

    Returns:
        int32 tensor (batch_size, 2).
    """
    return tf.map_fn(lambda sample: fold_in(seed, sample), samples, fn_output_signature=tf.int32)


def drawn_words(logits, seeds, step):
    """Draws one word for each row, with one random number each.

    Args:
        logits: float tensor (batch_size, vocabulary_size); words at minus infinity are not drawn.
        seeds: int32 tensor (batch_size, 2), as `sample_seeds` makes them.
        step: integer scalar tensor, the number of the word in its text.

    Returns:
        int32 tensor (batch_size,): a function of each row's logits and seed, and of the step.

    Example:

    >>> seeds = sample_seeds(tf.constant([7, 0]), tf.range(3))
    >>> drawn_words(tf.math.log([[0.0, 1.0, 0.0]] * 3), seeds, 0).numpy().tolist()
    [1, 1, 1]
    """

    def number(seed):
        return uniform((), fold_in(seed, step), tf.float64)

    numbers = tf.map_fn(number, seeds, fn_output_signature=tf.float64)
    # In float64, so that the rarest of many words can be met.
    probabilities = tf.nn.softmax(tf.cast(logits, tf.float64))
    sums = tf.cumsum(probabilities, axis=1)
    places = (numbers * sums[:, -1])[:, tf.newaxis]
    # The first word whose sum is above the place; a word without probability adds nothing.
    return tf.searchsorted(sums, places, side="right")[:, 0]
