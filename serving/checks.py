"""Checks of requests, inside the graph.

A request with one invalid row is rejected as a whole, with INVALID_ARGUMENT and the index of the
row. On a server with batching, this includes the other requests of the same batch.
"""

import tensorflow as tf

# Seeds are split into two int32 of 31 bits each.
_MAX_SEED = 2**62


class RequestChecks:
    """Checks of the inputs of signatures. Each method returns its inputs behind the checks.

    Args:
        limits: `Limits`.
        vocabulary_size: number of words.
    """

    def __init__(self, limits, vocabulary_size):
        self._limits = limits
        self._vocabulary_size = vocabulary_size

    def batch(self, *inputs):
        """Checks that inputs have the rank of the signature and the same number of rows."""
        # Servers do not compare what they receive with the signature.
        inputs = [tf.ensure_shape(value, value.shape) for value in inputs]
        sizes = [tf.shape(value)[0] for value in inputs]
        most = self._limits.max_batch_size
        checks = [
            _check(sizes[0] <= most, f"A request may have at most {most} rows. Received:", sizes[0])
        ]
        for size in sizes[1:]:
            message = "All inputs must have the same number of rows. Received:"
            checks.append(_check(tf.equal(size, sizes[0]), message, sizes[0], size))
        return _behind(checks, *inputs)

    def text(self, name, text):
        """Checks texts before they are split into words."""
        lengths, most = tf.strings.length(text), self._limits.max_text_bytes
        check = _check_rows(lengths <= most, f"`{name}` may have at most {most} bytes", lengths)
        (text,) = _behind([check], text)
        decoded = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        check = _check_rows(tf.equal(decoded, text), f"`{name}` must be valid UTF-8")
        return _behind([check], text)[0]

    def words(self, name, token_ids, lengths, num_unknown):
        """Checks texts after they are split. `num_unknown` must be 0, unless it is None."""
        most = self._limits.max_text_words
        checks = [_check_rows(lengths <= most, f"`{name}` may have at most {most} words", lengths)]
        if num_unknown is not None:
            message = f"`{name}` has words outside the vocabulary, which has no <unk>"
            checks.append(_check_rows(tf.equal(num_unknown, 0), message, num_unknown))
        return _behind(checks, token_ids, lengths)

    def padded_ids(self, token_ids, lengths):
        """Checks rows of token ids, and replaces their padding, which may be anything, by 0."""
        width, most = tf.shape(token_ids)[1], self._limits.max_text_words
        checks = [
            _check(width <= most, f"`token_ids` may have at most {most} columns. Received:", width),
            _check_rows(
                (lengths >= 0) & (lengths <= width),
                "`lengths` must be at least 0 and at most the number of columns of `token_ids`",
                lengths,
            ),
        ]
        token_ids, lengths = _behind(checks, token_ids, lengths)
        token_ids = tf.where(tf.sequence_mask(lengths, tf.shape(token_ids)[1]), token_ids, 0)
        is_valid = tf.reduce_all(self._is_id(token_ids), axis=1)
        return _behind([_check_rows(is_valid, self._ids_message())], token_ids, lengths)

    def step(self, token_ids, state):
        """Checks the inputs of `step`."""
        is_finite = tf.reduce_all(tf.math.is_finite(state), axis=1)
        checks = [
            _check_rows(self._is_id(token_ids), self._ids_message(), token_ids),
            _check_rows(is_finite, "`state` must be finite"),
        ]
        return _behind(checks, token_ids, state)

    def next_word(self, k):
        """Checks the options of `next_word`."""
        most = self._limits.max_k
        check = _check_rows((k >= 1) & (k <= most), f"`k` must be from 1 to {most}", k)
        return _behind([check], k)[0]

    def generate(self, max_words, temperature, top_k, top_p, seed):
        """Checks the options of `generate`."""
        most = self._limits.max_words
        is_temperature = tf.math.is_finite(temperature) & (temperature >= 0)
        checks = [
            _check_rows(
                (max_words >= 1) & (max_words <= most),
                f"`max_words` must be from 1 to {most}",
                max_words,
            ),
            _check_rows(is_temperature, "`temperature` must be finite and at least 0", temperature),
            _check_rows(top_k >= 0, "`top_k` must be at least 0 (0: all words)", top_k),
            _check_rows((top_p > 0) & (top_p <= 1), "`top_p` must be above 0 and at most 1", top_p),
            _check_rows(
                (seed >= 0) & (seed < _MAX_SEED), "`seed` must be at least 0 and below 2**62", seed
            ),
        ]
        return _behind(checks, max_words, temperature, top_k, top_p, seed)

    def _is_id(self, ids):
        return (ids >= 0) & (ids < self._vocabulary_size)

    def _ids_message(self):
        return f"`token_ids` must be at least 0 and below {self._vocabulary_size}"


def _check(condition, *data):
    return tf.raw_ops.Assert(condition=condition, data=list(data), summarize=1)


def _check_rows(condition, message, received=None):
    """A check of each row, which reports the first one that fails."""
    failed = tf.where(tf.logical_not(condition))[:1, 0]
    data = [] if received is None else ["Received:", tf.gather(received, failed)]
    return _check(tf.reduce_all(condition), f"{message}. Row:", failed, *data)


def _behind(checks, *tensors):
    with tf.control_dependencies(checks):
        return [tf.identity(tensor) for tensor in tensors]
