"""Drawing the next word: what may be drawn, and a draw that is a pure function of its seed."""

import math

import tensorflow as tf

from awd_keras.ops.random import fold_in, uniform

# Stands for settings above 0 that are 0 in float32.
_TINY = 1e-30
# The likeliest words that are looked for first, and by how much their number grows.
_FIRST, _GROWTH = 64, 8


def filter_logits(logits, temperature, top_k, top_p):
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
    >>> filtered = filter_logits(logits, [1.0, 1.0], [0, 0], [0.6, 1.0])
    >>> print(tf.nn.softmax(filtered).numpy().round(3))
    [[0.625 0.375 0.   ]
     [0.5   0.3   0.2  ]]
    """
    return _filtered(*_prepared(logits, temperature, top_k, top_p))


def sample_seeds(seed, samples):
    """The seeds of samples: a function of the seed and the number of each sample alone.

    Args:
        seed: int32 tensor (2,), such as `run_seed(7)`.
        samples: integer tensor (batch_size,): the number of each sample.

    Returns:
        int32 tensor (batch_size, 2).
    """
    return tf.map_fn(lambda sample: fold_in(seed, sample), samples, fn_output_signature=tf.int32)


def categorical(logits, seeds, step):
    """Draws one word for each row, with one random number each.

    Args:
        logits: float tensor (batch_size, vocabulary_size); words at minus infinity are not drawn.
        seeds: int32 tensor (batch_size, 2), as `sample_seeds` makes them.
        step: integer scalar tensor, the number of the word in its text.

    Returns:
        int32 tensor (batch_size,): a function of each row's logits and seed, and of the step.

    Example:

    >>> seeds = sample_seeds(tf.constant([7, 0]), tf.range(3))
    >>> categorical(tf.math.log([[0.0, 1.0, 0.0]] * 3), seeds, 0).numpy().tolist()
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


def sample(logits, temperature, top_k, top_p, seeds, step):
    """`categorical` of `filter_logits`, without going through words that are left out.

    Args:
        logits, temperature, top_k, top_p: as in `filter_logits`.
        seeds, step: as in `categorical`.

    Returns:
        int32 tensor (batch_size,): a function of each row's arguments and of the step.
    """
    logits, top_k, top_p = _prepared(logits, temperature, top_k, top_p)

    def sample_top_k():
        best, words = _likeliest(logits, top_k, top_p)
        # In the order of the vocabulary, as among all words: zeros in between add nothing.
        order = tf.argsort(tf.where(best > -math.inf, words, tf.shape(logits)[1]), axis=1)
        places = categorical(tf.gather(best, order, batch_dims=1), seeds, step)
        words = tf.gather(words, order, batch_dims=1)
        return tf.gather(words, places, batch_dims=1)

    return tf.cond(
        tf.reduce_all(_leaves_out(logits, top_k, top_p)),
        sample_top_k,
        lambda: categorical(_filtered(logits, top_k, top_p), seeds, step),
    )


def _prepared(logits, temperature, top_k, top_p):
    """Logits over the temperature, `top_k` in words, and `top_p`, the last two (batch_size, 1)."""
    logits = tf.cast(logits, tf.float32)
    temperature = tf.cast(temperature, tf.float32)[:, tf.newaxis]
    top_k = tf.cast(top_k, tf.int32)[:, tf.newaxis]
    top_p = tf.maximum(tf.cast(top_p, tf.float32), _TINY)[:, tf.newaxis]
    vocabulary_size = tf.shape(logits)[1]
    # A temperature of 0 leaves one word. The largest logit is 0 from here on, so that dividing by
    # the smallest temperature gives 0 for it, minus infinity for the others, and no NaN.
    top_k = tf.where(temperature > 0, top_k, 1)
    top_k = tf.where(top_k > 0, tf.minimum(top_k, vocabulary_size), vocabulary_size)
    logits -= tf.reduce_max(logits, axis=1, keepdims=True)
    logits /= tf.maximum(tf.where(temperature > 0, temperature, 1.0), _TINY)
    return logits, top_k, top_p


def _leaves_out(logits, top_k, top_p):
    """Rows that leave words out: bool (batch_size, 1)."""
    return (top_k < tf.shape(logits)[1]) | (top_p < 1.0)


def _filtered(logits, top_k, top_p):
    is_filtered = _leaves_out(logits, top_k, top_p)

    def filtered():
        best, words = _likeliest(logits, top_k, top_p)
        rows = tf.broadcast_to(tf.range(tf.shape(logits)[0])[:, tf.newaxis], tf.shape(words))
        nothing = tf.fill(tf.shape(logits), -math.inf)
        left = tf.tensor_scatter_nd_update(nothing, tf.stack([rows, words], axis=2), best)
        return tf.where(is_filtered, left, logits)

    return tf.cond(tf.reduce_any(is_filtered), filtered, lambda: logits)


def _likeliest(logits, top_k, top_p):
    """The likeliest words of rows that leave words out; of other rows, any number of them.

    Sorting a whole vocabulary takes longer than all the rest of a step, so first a few words are
    looked for, and more while a row's `top_p` is not reached.

    Returns:
        `(best, words)`, (batch_size, some number): their logits, largest first and equals in the
        order of the words, minus infinity where left out; and the words.
    """
    vocabulary_size = tf.shape(logits)[1]
    is_filtered = _leaves_out(logits, top_k, top_p)
    is_limited = top_k < vocabulary_size
    # In float64 the order of a sum does not show: not how many rows there are, nor how many words
    # are found for other rows.
    all_weights = tf.reduce_sum(_weights(logits), axis=1, keepdims=True)

    def find(count):
        best, words = tf.math.top_k(logits, k=count)
        best = tf.where(tf.range(count) < top_k, best, -math.inf)
        sums = tf.cumsum(_weights(best), axis=1)
        total = tf.where(is_limited, sums[:, -1][:, tf.newaxis], all_weights)
        return count, best, words, sums, tf.cast(top_p, tf.float64) * total

    def is_needed(count, best, words, sums, asked):
        too_few = is_filtered & tf.logical_not(is_limited) & (sums[:, -1][:, tf.newaxis] < asked)
        return (count < vocabulary_size) & tf.reduce_any(too_few)

    def find_more(count, *_):
        return find(tf.minimum(count * _GROWTH, vocabulary_size))

    largest_k = tf.reduce_max(tf.pad(tf.where(is_limited, top_k, 1), [[0, 1], [0, 0]]))
    first = tf.minimum(tf.maximum(largest_k, _FIRST), vocabulary_size)
    any_number = tf.TensorShape((None, None))
    _, best, words, sums, asked = tf.while_loop(
        is_needed,
        find_more,
        find(first),
        shape_invariants=(
            tf.TensorShape(()),
            any_number,
            any_number,
            any_number,
            tf.TensorShape((None, 1)),
        ),
    )
    before = tf.pad(sums, [[0, 0], [1, 0]])[:, :-1]
    # A sum of floats may reach 1 before the last word does.
    kept = (before < asked) | (top_p >= 1.0)
    return tf.where(kept, best, -math.inf), words


def _weights(logits):
    return tf.cast(tf.exp(logits), tf.float64)
