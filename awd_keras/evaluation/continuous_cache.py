"""The continuous cache: words that followed similar states become more likely."""

import dataclasses
import math

import tensorflow as tf

# Maximum number of similarities in memory at once (256 MiB in float32).
_MAX_SIMILARITIES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class ContinuousCache:
    """The continuous cache of Grave, Joulin and Usunier (2017, arXiv 1612.04426).

    `p = (1 - lambda_) * p_vocabulary + lambda_ * p_cache`, where `p_cache` is an attention over the
    last `window` states: a state `h[i]` has the weight `softmax(theta * h[t] @ h[i])` and votes for
    the word that followed it. The states are the outputs of the last layer, without dropout.

    The cache is used while it fills; only the first word of a text, for which the cache is empty,
    keeps the model's probability. The authors of AWD-LSTM wait until the window is full.

    Args:
        window: Number of states to remember. The authors use 500 for Penn Treebank and 3785 for
            WikiText-2.
        theta: Scale of the similarities; 0 weights all states equally. They use 1.0 and 0.662.
        lambda_: Weight of the cache (`lambdasm` in their code). They use 0.1 and 0.1279.

    Raises:
        ValueError: If an argument is out of range.

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
        if self.window < 1 or not (0 <= self.theta < math.inf and 0 <= self.lambda_ < 1):
            raise ValueError(
                "`window` must be >= 1, `theta` finite and >= 0, and `lambda_` in [0, 1). "
                f"Received: {self}"
            )

    def initial_state(self, batch_size, features, dtype=tf.float32):
        """Returns an empty cache for each of `batch_size` columns of a text.

        It is a tuple `(hidden, words)` of tensors of shape `(batch_size, num_states, features)` and
        `(batch_size, num_states)`, where `num_states` grows from 0 to `window`.
        """
        return tf.zeros((batch_size, 0, features), dtype), tf.zeros((batch_size, 0), tf.int32)

    def mix(self, log_probabilities, hidden, targets, state, lambda_=None):
        """Mixes the cache into the log-probabilities of the target words.

        Args:
            log_probabilities: Tensor of shape `(batch_size, timesteps)`, from the model.
            hidden: Tensor of shape `(batch_size, timesteps, features)`, the outputs of the last
                layer.
            targets: Integer tensor of shape `(batch_size, timesteps)`, the word after each output.
            state: As returned by `initial_state` or by the previous call.
            lambda_: Array of shape `(n, 1, 1)`, the weights of n otherwise identical caches.
                The result then has shape `(n, batch_size, timesteps)`. Defaults to `self.lambda_`.

        Returns:
            `(log_probabilities, state)` in the dtype of the state.
        """
        batch_size, timesteps, _ = hidden.shape
        used = tf.range(timesteps) + state[0].shape[1] > 0
        # t steps and n states have t * (t + n) similarities: t > n would be wasteful.
        most = _MAX_SIMILARITIES // (batch_size * (self.window + timesteps))
        length = max(1, min(most, max(self.window, 100)))
        pieces = []
        for start in range(0, timesteps, length):
            end = start + length
            piece, state = self._look_up(hidden[:, start:end], targets[:, start:end], state)
            pieces.append(piece)
        cached = tf.concat(pieces, axis=1)
        lambda_ = tf.constant(self.lambda_ if lambda_ is None else lambda_, cached.dtype)
        log_probabilities = tf.cast(log_probabilities, cached.dtype)
        parts = [tf.math.log1p(-lambda_) + log_probabilities, tf.math.log(lambda_) + cached]
        mixed = tf.reduce_logsumexp(tf.stack(parts), axis=0)
        return tf.where(used, mixed, log_probabilities), state

    def _look_up(self, hidden, targets, state):
        """Returns the log-probabilities of the targets in the cache alone, and the new state."""
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
        # Subtract before scaling, so that a large theta does not cause an overflow.
        largest = tf.reduce_max(similarities, axis=-1, keepdims=True)
        scores = tf.where(visible, self.theta * (similarities - largest), -math.inf)
        matches = words[:, tf.newaxis, :] == targets[:, :, tf.newaxis]
        matching = tf.reduce_logsumexp(tf.where(matches, scores, -math.inf), axis=-1)
        # The largest score is 0, so the sum neither overflows nor underflows.
        log_sum = tf.math.log(tf.reduce_sum(tf.exp(scores), axis=-1))
        return matching - log_sum, (keys[:, -self.window :], words[:, -self.window :])
