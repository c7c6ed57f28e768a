"""The continuous cache: words that followed similar states become more likely."""

import dataclasses
import math
import numbers

import tensorflow as tf

# Maximum number of similarities in memory at once (256 MiB in float32).
_MAX_SIMILARITIES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class ContinuousCache:
    """The continuous cache of Grave, Joulin and Usunier (2017, arXiv 1612.04426).

    `p = (1 - lambda_) * p_vocabulary + lambda_ * p_cache`, where `p_cache` is an attention over the
    last `window` states: a state `h[i]` has the weight `softmax(theta * h[t] @ h[i])` and votes for
    the word that followed it. The states are the outputs of the last layer, without dropout.

    The cache is used while it fills; only the first word of a text, for which it is empty, keeps
    its probability. The authors of AWD-LSTM wait until the window is full.

    Args:
        window: Number of states to remember. The authors of AWD-LSTM use 500 for Penn Treebank and
            3785 for WikiText-2 (`window` in their code).
        theta: Scale of the similarities; 0 weights all states equally. They use 1.0 and 0.662
            (`theta`).
        lambda_: Weight of the cache. They use 0.1 and 0.1279 (`lambdasm`).

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> cache = ContinuousCache(window=500, theta=1.0, lambda_=0.1)
    >>> hidden, words = tf.ones((1, 3, 4)), tf.constant([[7, 7, 8]])  # the words that follow
    >>> log_probabilities = tf.fill((1, 3), math.log(0.01))
    >>> state = cache.initial_state(batch_size=1, features=4)
    >>> mixed, state = cache.mix(log_probabilities, hidden, words, state)
    >>> [f"{p:.3f}" for p in tf.exp(mixed)[0]]  # cache empty, hit, miss
    ['0.010', '0.109', '0.009']
    """

    window: int
    theta: float
    lambda_: float

    def __post_init__(self):
        if not isinstance(self.window, numbers.Integral) or self.window < 1:
            raise ValueError(f"`window` must be an integer >= 1. Received: window={self.window!r}")
        if not 0 <= self.theta < math.inf:
            raise ValueError(f"`theta` must be finite and >= 0. Received: theta={self.theta!r}")
        if not 0 <= self.lambda_ < 1:
            raise ValueError(f"`lambda_` must be in [0, 1). Received: lambda_={self.lambda_!r}")

    def initial_state(self, batch_size, features, dtype=tf.float32):
        """Returns an empty cache for each of `batch_size` columns of a text.

        It is a tuple `(hidden, words)` of tensors of shape `(batch_size, num_states, features)` and
        `(batch_size, num_states)`, where `num_states` grows from 0 to `window`.
        """
        return tf.zeros((batch_size, 0, features), dtype), tf.zeros((batch_size, 0), tf.int32)

    def mix(self, log_probabilities, hidden, targets, state):
        """Mixes the cache into the log-probabilities of the target words.

        Args:
            log_probabilities: Tensor of shape `(batch_size, timesteps)`, from the model.
            hidden: Tensor of shape `(batch_size, timesteps, features)`, the outputs of the last
                layer.
            targets: Integer tensor of shape `(batch_size, timesteps)`, the word after each output.
            state: As returned by `initial_state` or by the previous call.

        Returns:
            `(log_probabilities, state)` in the dtype of the state.
        """
        cached, used, state = self.log_probabilities(hidden, targets, state)
        return mix_log_probabilities(log_probabilities, cached, used, self.lambda_), state

    def log_probabilities(self, hidden, targets, state):
        """Computes the log-probabilities of the target words in the cache alone.

        Args:
            hidden, targets, state: As for `mix`.

        Returns:
            `(log_probabilities, used, state)`: a tensor of shape `(batch_size, timesteps)`, minus
            infinity for words not in the cache; a boolean tensor of shape `(timesteps,)`, false
            where the cache is empty; and the new state.
        """
        batch_size, timesteps, _ = hidden.shape
        # t steps and n states have t * (t + n) similarities: t > n would be a waste.
        most = _MAX_SIMILARITIES // (batch_size * (self.window + timesteps))
        length = max(1, min(most, max(self.window, 100)))
        pieces = []
        for start in range(0, timesteps, length):
            end = start + length
            *piece, state = self._piece(hidden[:, start:end], targets[:, start:end], state)
            pieces.append(piece)
        log_probabilities, used = zip(*pieces)
        return tf.concat(log_probabilities, axis=1), tf.concat(used, axis=0), state

    def _piece(self, hidden, targets, state):
        hidden = tf.cast(hidden, state[0].dtype)
        targets = tf.cast(targets, tf.int32)
        keys = tf.concat([state[0], hidden], axis=1)
        words = tf.concat([state[1], targets], axis=1)
        # A step sees the states before it, at most `window` of them.
        positions = tf.range(keys.shape[1])
        now = positions[state[0].shape[1] :, tf.newaxis]
        visible = (positions < now) & (positions >= now - self.window)
        similarities = tf.matmul(hidden, keys, transpose_b=True)
        similarities = tf.where(visible, similarities, -math.inf)
        # Subtracted before scaling, so that a large theta does not overflow.
        largest = tf.reduce_max(similarities, axis=-1, keepdims=True)
        scores = tf.where(visible, self.theta * (similarities - largest), -math.inf)
        matches = words[:, tf.newaxis, :] == targets[:, :, tf.newaxis]
        # The largest score is 0, so the sum neither overflows nor vanishes.
        log_sum = tf.math.log(tf.reduce_sum(tf.exp(scores), axis=-1))
        matching = tf.reduce_logsumexp(tf.where(matches, scores, -math.inf), axis=-1)
        state = keys[:, -self.window :], words[:, -self.window :]
        return matching - log_sum, now[:, 0] > 0, state


def mix_log_probabilities(log_probabilities, cached, used, lambda_):
    """Computes `log((1 - lambda) * p + lambda * p_cache)`, and `log(p)` where the cache is empty.

    `lambda_` is a number, or an array of shape `(n, 1, 1)` for n results at once. The other
    arguments are as in `ContinuousCache`.
    """
    lambda_ = tf.constant(lambda_, cached.dtype)
    log_probabilities = tf.cast(log_probabilities, cached.dtype)
    parts = [tf.math.log1p(-lambda_) + log_probabilities, tf.math.log(lambda_) + cached]
    return tf.where(used, tf.reduce_logsumexp(tf.stack(parts), axis=0), log_probabilities)
