"""The continuous cache: words that followed states like the present one become likelier."""

import dataclasses
import math
import numbers

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ContinuousCache:
    """The continuous cache of Grave, Joulin and Usunier (2017, arXiv 1612.04426).

    `p = (1 - lambda_) p_vocabulary + lambda_ p_cache`, where `p_cache(word)` is the sum of the
    softmax of `theta h_t . h_i` over those of the last `window` states `h_i` that `word` followed.
    The states are the outputs of the last layer, without dropout.

    Only the probability of the word that comes is computed, from a band of similarities: memory
    grows with the window and with the number of tokens given at once, neither with the vocabulary
    nor with the text.

    While the window fills, what is there is used; for the very first word, when nothing is, the
    vocabulary alone. The authors of AWD-LSTM use the cache only once it is full: `only_full`.
    (Their program then also leaves out the first word with a full cache, and the first word of
    each chunk of the text; this does not.)

    Args:
        window: how many states are remembered (the authors' `window`: 500 for Penn Treebank, 3785
            for WikiText-2).
        theta: how much more similar states count; 0 counts all the same (`theta`: 1.0, 0.662).
        lambda_: weight of the cache (`lambdasm`: 0.1, 0.1279).
        only_full: whether to do without the cache until the window is full.

    Raises:
        ValueError: naming the argument that is out of its range.

    Example:

    >>> cache = ContinuousCache(window=500, theta=1.0, lambda_=0.1)
    >>> hidden, words = tf.ones((1, 3, 4)), tf.constant([[7, 7, 8]])  # the words that follow
    >>> log_probabilities = tf.fill((1, 3), math.log(0.01))
    >>> state = cache.initial_state(batch_size=1, features=4)
    >>> mixed, state = cache.mix(log_probabilities, hidden, words, state)
    >>> [f"{p:.3f}" for p in tf.exp(mixed)[0]]  # nothing yet; 7 follows a state; 8 follows none
    ['0.010', '0.109', '0.009']
    """

    window: int
    theta: float
    lambda_: float
    only_full: bool = False

    def __post_init__(self):
        def check(name, holds, expected):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not holds(value):
                raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")

        check("window", lambda v: isinstance(v, numbers.Integral) and v >= 1, "an integer >= 1")
        check("theta", lambda v: 0 <= v < math.inf, "a finite number >= 0")
        check("lambda_", lambda v: 0 <= v < 1, "in [0, 1)")

    def initial_state(self, batch_size, features, dtype=tf.float32):
        """An empty cache.

        Args:
            batch_size: columns of the text; each has a cache of its own.
            features: units of the last layer.
            dtype: float32, or float64 for a float64 model.

        Returns:
            `(hidden, words)`: tensors (batch_size, entries, features) and (batch_size, entries),
            without entries yet. There are never more than `window`.
        """
        return tf.zeros((batch_size, 0, features), dtype), tf.zeros((batch_size, 0), tf.int32)

    def mix(self, log_probabilities, hidden, targets, state):
        """Mixes the cache into the log-probabilities of the words that came.

        Args:
            log_probabilities: tensor (batch_size, timesteps): those that the model gave.
            hidden: tensor (batch_size, timesteps, features): outputs of the last layer.
            targets: integer tensor (batch_size, timesteps): the word that followed each output.
            state: what `initial_state` or the call before returned.

        Returns:
            `(log_probabilities, state)` in the dtype of the state: float32 whatever the dtype of
            the model's products.
        """
        of_targets, used = cache_log_probabilities(
            hidden, targets, state, self.window, self.theta, self.only_full
        )
        mixed = mix_log_probabilities(log_probabilities, of_targets, used, self.lambda_)
        return mixed, remember(hidden, targets, state, self.window)

    def mix_distribution(self, probabilities, hidden, targets, state):
        """Mixes the cache into whole distributions, for those who ask about other words too.

        Takes memory of the size of `probabilities` once more.

        Args:
            probabilities: tensor (batch_size, timesteps, vocabulary_size), of the model.
            hidden, targets, state: as for `mix`, which changes the state; this does not.

        Returns:
            tensor (batch_size, timesteps, vocabulary_size).
        """
        scores, words, used = _scores(
            hidden, targets, state, self.window, self.theta, self.only_full
        )
        batch_size, entries = tf.shape(words)[0], tf.shape(words)[1]
        timesteps, size = tf.shape(hidden)[1], probabilities.shape[-1]
        attention = tf.where(used[:, tf.newaxis], tf.nn.softmax(scores), 0)
        # Sums over the entries of each (row, word), for all time steps at once.
        segments = words + size * tf.range(batch_size)[:, tf.newaxis]
        sums = tf.math.unsorted_segment_sum(
            tf.reshape(tf.transpose(attention, (0, 2, 1)), (batch_size * entries, timesteps)),
            tf.reshape(segments, (-1,)),
            batch_size * size,
        )
        of_cache = tf.transpose(tf.reshape(sums, (batch_size, size, timesteps)), (0, 2, 1))
        weight = tf.where(used, tf.constant(self.lambda_, sums.dtype), 0)[:, tf.newaxis]
        return (1 - weight) * tf.cast(probabilities, sums.dtype) + weight * of_cache


def cache_log_probabilities(hidden, targets, state, window, theta, only_full=False):
    """Log-probabilities that the cache alone gives to the words that came.

    Args:
        hidden, targets, state: as for `ContinuousCache.mix`. A state with more than `window`
            entries is as good: the older ones are left out.
        window, theta: as for `ContinuousCache`, numbers or scalar tensors.
        only_full: whether the cache is used only once it is full.

    Returns:
        `(log_probabilities, used)`: (batch_size, timesteps), -inf for a word that is not in the
        cache, and booleans (timesteps,): whether there is a cache to use. Where there is none, the
        log-probabilities mean nothing.
    """
    scores, words, used = _scores(hidden, targets, state, window, theta, only_full)
    matches = tf.cast(targets, tf.int32)[:, :, tf.newaxis] == words[:, tf.newaxis]
    minus_infinity = tf.constant(-math.inf, scores.dtype)
    of_targets = tf.reduce_logsumexp(tf.where(matches, scores, minus_infinity), axis=-1)
    # The largest score is 0, so this sum neither overflows nor vanishes.
    return of_targets - tf.math.log(tf.reduce_sum(tf.exp(scores), axis=-1)), used


def mix_log_probabilities(log_probabilities, of_cache, used, lambda_):
    """`log((1 - lambda) p + lambda p_cache)`, in log space.

    Args:
        log_probabilities: tensor (batch_size, timesteps), of the model.
        of_cache, used: what `cache_log_probabilities` returned.
        lambda_: number or scalar tensor.

    Returns:
        tensor (batch_size, timesteps).
    """
    lambda_ = _number(lambda_, of_cache.dtype)
    log_probabilities = tf.cast(log_probabilities, of_cache.dtype)
    parts = [tf.math.log1p(-lambda_) + log_probabilities, tf.math.log(lambda_) + of_cache]
    return tf.where(used, tf.reduce_logsumexp(tf.stack(parts), axis=0), log_probabilities)


def remember(hidden, targets, state, window):
    """The state after some more outputs and the words that followed them."""
    hidden, words = _extended(hidden, targets, state)
    return hidden[:, -window:], words[:, -window:]


def _extended(hidden, targets, state):
    hidden = tf.concat([state[0], tf.cast(hidden, state[0].dtype)], axis=1)
    return hidden, tf.concat([state[1], tf.cast(targets, tf.int32)], axis=1)


def _scores(hidden, targets, state, window, theta, only_full):
    """theta h_t . h_i less the largest, -inf outside the band; the words; whether to use them.

    Time step t of a chunk sees, of the entries of state and chunk, those before it and at most
    `window` back. Taking the largest similarity off first keeps theta from overflowing.
    """
    keys, words = _extended(hidden, targets, state)
    entries = tf.range(tf.shape(keys)[1])
    now = tf.range(tf.shape(state[0])[1], tf.shape(keys)[1])[:, tf.newaxis]
    seen = (entries < now) & (entries >= now - window)
    minus_infinity = tf.constant(-math.inf, keys.dtype)
    queries = tf.cast(hidden, keys.dtype)
    similarities = tf.where(seen, tf.matmul(queries, keys, transpose_b=True), minus_infinity)
    largest = tf.reduce_max(similarities, axis=-1, keepdims=True)
    scores = _number(theta, keys.dtype) * (similarities - largest)
    used = now[:, 0] >= (window if only_full else 1)
    return tf.where(seen, scores, minus_infinity), words, used


def _number(value, dtype):
    # tf.cast of a Python number would round it to float32 first.
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)
