"""Sampling the next word, as a pure function of a seed."""

import math

import tensorflow as tf

from awd_keras.ops.random import ALGORITHM, fold_in

# Replaces positive settings that round to 0 in float32.
_TINY = 1e-30
# Number of candidates in the first search, and the factor by which it grows.
_FIRST, _GROWTH = 64, 8


def filter_logits(logits, temperature, top_k, top_p):
    """Applies temperature, top-k and top-p sampling settings, which may differ between rows.

    Keeps the `top_k` most probable words and, among these, the most probable ones until their
    probabilities sum to `top_p`. At least one word is kept.

    Args:
        logits: Float tensor of shape `(batch_size, vocabulary_size)`.
        temperature: Float tensor of shape `(batch_size,)`, the divisor of the logits. 0 keeps only
            the most probable word.
        top_k: Integer tensor of shape `(batch_size,)`. 0 keeps all words.
        top_p: Float tensor of shape `(batch_size,)`, in the range `(0, 1]`. 1 keeps all words.

    Returns:
        Float32 tensor of shape `(batch_size, vocabulary_size)`, minus infinity for removed words.

    Example:

    >>> logits = tf.math.log([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    >>> filtered = filter_logits(logits, [1.0, 1.0], [0, 0], [0.6, 1.0])
    >>> print(tf.nn.softmax(filtered).numpy().round(3))
    [[0.625 0.375 0.   ]
     [0.5   0.3   0.2  ]]
    """
    return _filter(*_prepare(logits, temperature, top_k, top_p))


def sample_seeds(seed, samples):
    """Derives one seed per sample.

    Args:
        seed: Int32 tensor of shape `(2,)`, such as `run_seed(7)`.
        samples: Integer tensor of shape `(batch_size,)`, the indices of the samples.

    Returns:
        Int32 tensor of shape `(batch_size, 2)`.
    """
    return tf.map_fn(lambda sample: fold_in(seed, sample), samples, fn_output_signature=tf.int32)


def categorical(logits, seeds, step):
    """Samples one word per row, which depends only on that row of the arguments.

    Args:
        logits: Float tensor of shape `(batch_size, vocabulary_size)`. Words whose logit is minus
            infinity are never sampled.
        seeds: Int32 tensor of shape `(batch_size, 2)`, from `sample_seeds`.
        step: Integer scalar tensor, the position of the word in its text.

    Returns:
        Int32 tensor of shape `(batch_size,)`.

    Example:

    >>> seeds = sample_seeds(tf.constant([7, 0]), tf.range(3))
    >>> categorical(tf.math.log([[0.0, 1.0, 0.0]] * 3), seeds, 0).numpy().tolist()
    [1, 1, 1]
    """

    def draw(seed):
        seed = fold_in(seed, step)
        return tf.random.stateless_uniform((), seed, dtype=tf.float64, alg=ALGORITHM)

    numbers = tf.map_fn(draw, seeds, fn_output_signature=tf.float64)
    # In float64, so that the rarest words of a large vocabulary can be sampled.
    sums = tf.cumsum(tf.nn.softmax(tf.cast(logits, tf.float64)), axis=1)
    thresholds = (numbers * sums[:, -1])[:, tf.newaxis]
    return tf.searchsorted(sums, thresholds, side="right")[:, 0]


def sample(logits, temperature, top_k, top_p, seeds, step):
    """Computes `categorical(filter_logits(...))` without visiting all words where possible.

    Args:
        logits, temperature, top_k, top_p: As in `filter_logits`.
        seeds, step: As in `categorical`.

    Returns:
        Int32 tensor of shape `(batch_size,)`.
    """
    logits, top_k, top_p = _prepare(logits, temperature, top_k, top_p)

    def sample_top_k():
        best, words = _candidates(logits, top_k, top_p)
        # Cumulative sums must run in the order of the vocabulary, as in `categorical`.
        order = tf.argsort(tf.where(best > -math.inf, words, tf.shape(logits)[1]), axis=1)
        positions = categorical(tf.gather(best, order, batch_dims=1), seeds, step)
        return tf.gather(tf.gather(words, order, batch_dims=1), positions, batch_dims=1)

    return tf.cond(
        tf.reduce_all(_is_filtered(logits, top_k, top_p)),
        sample_top_k,
        lambda: categorical(_filter(logits, top_k, top_p), seeds, step),
    )


def _prepare(logits, temperature, top_k, top_p):
    """Divides the logits, and returns `top_k` and `top_p` with shape `(batch_size, 1)`."""
    logits = tf.cast(logits, tf.float32)
    temperature = tf.cast(temperature, tf.float32)[:, tf.newaxis]
    top_k = tf.cast(top_k, tf.int32)[:, tf.newaxis]
    top_p = tf.maximum(tf.cast(top_p, tf.float32), _TINY)[:, tf.newaxis]
    vocabulary_size = tf.shape(logits)[1]
    top_k = tf.where(temperature > 0, top_k, 1)
    top_k = tf.where(top_k > 0, tf.minimum(top_k, vocabulary_size), vocabulary_size)
    # With a largest logit of 0, no temperature can lead to NaN.
    logits -= tf.reduce_max(logits, axis=1, keepdims=True)
    logits /= tf.maximum(tf.where(temperature > 0, temperature, 1.0), _TINY)
    return logits, top_k, top_p


def _is_filtered(logits, top_k, top_p):
    return (top_k < tf.shape(logits)[1]) | (top_p < 1.0)


def _filter(logits, top_k, top_p):
    is_filtered = _is_filtered(logits, top_k, top_p)

    def scatter():
        best, words = _candidates(logits, top_k, top_p)
        rows = tf.broadcast_to(tf.range(tf.shape(logits)[0])[:, tf.newaxis], tf.shape(words))
        empty = tf.fill(tf.shape(logits), -math.inf)
        kept = tf.tensor_scatter_nd_update(empty, tf.stack([rows, words], axis=2), best)
        return tf.where(is_filtered, kept, logits)

    return tf.cond(tf.reduce_any(is_filtered), scatter, lambda: logits)


def _candidates(logits, top_k, top_p):
    """Finds the words kept in filtered rows; other rows are undefined.

    Sorting the vocabulary would take longer than the rest of a step, so the search starts with a
    few words and continues with more until their probabilities reach `top_p`.

    Returns:
        `(best, words)` of shape `(batch_size, n)`: logits in descending order, minus infinity for
        removed words, and the words.
    """
    vocabulary_size = tf.shape(logits)[1]
    is_limited = top_k < vocabulary_size
    # In float64, so that the result does not depend on `n` through the order of summation.
    total_weight = tf.reduce_sum(_weights(logits), axis=1, keepdims=True)

    def search(n):
        best, words = tf.math.top_k(logits, k=n)
        return n, tf.where(tf.range(n) < top_k, best, -math.inf), words

    def sums_and_threshold(best):
        sums = tf.cumsum(_weights(best), axis=1)
        total = tf.where(is_limited, sums[:, -1:], total_weight)
        return sums, tf.cast(top_p, tf.float64) * total

    def is_incomplete(n, best, words):
        sums, threshold = sums_and_threshold(best)
        below_top_p = (top_p < 1.0) & (sums[:, -1:] < threshold)
        return (n < vocabulary_size) & tf.reduce_any(below_top_p)

    max_k = tf.reduce_max(tf.where(is_limited, top_k, 0))
    matrix = tf.TensorShape((None, None))
    _, best, words = tf.while_loop(
        is_incomplete,
        lambda n, *_: search(tf.minimum(n * _GROWTH, vocabulary_size)),
        search(tf.minimum(tf.maximum(max_k, _FIRST), vocabulary_size)),
        shape_invariants=(tf.TensorShape(()), matrix, matrix),
    )
    sums, threshold = sums_and_threshold(best)
    sums_before = tf.pad(sums, [[0, 0], [1, 0]])[:, :-1]
    # Rounding may let the sums reach 1 before the last word.
    is_kept = (sums_before < threshold) | (top_p >= 1.0)
    return tf.where(is_kept, best, -math.inf), words


def _weights(logits):
    return tf.cast(tf.exp(logits), tf.float64)
