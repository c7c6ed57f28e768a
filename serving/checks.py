"""Validation of requests, inside the graph.

An invalid row makes the whole request fail with INVALID_ARGUMENT and the index of the row. If the
server batches requests, all requests of the batch fail.
"""

import tensorflow as tf


class RequestChecks:
    """Validates the inputs of the signatures. Each method returns the inputs it has checked.

    Args:
        limits: `Limits`.
        vocabulary_size: Number of words.
    """

    def __init__(self, limits, vocabulary_size):
        self._limits = limits
        self._max_id = vocabulary_size - 1

    def batch(self, *inputs):
        """Checks the ranks of all inputs, and that they have the same number of rows."""
        # Servers do not check the shapes of inputs.
        inputs = [tf.ensure_shape(value, value.shape) for value in inputs]
        sizes = [tf.shape(value)[0] for value in inputs]
        most = self._limits.max_batch_size
        message = f"A request may have at most {most} rows. Received:"
        checks = [_check(sizes[0] <= most, message, sizes[0])]
        message = "All inputs must have the same number of rows. Received:"
        checks += [_check(size == sizes[0], message, sizes[0], size) for size in sizes[1:]]
        return _after(checks, *inputs)

    def text(self, name, text):
        """Checks texts before they are split into words."""
        decoded = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        check = _check_rows(tf.equal(decoded, text), f"`{name}` must be valid UTF-8")
        return _after([check], text)[0]

    def words(self, name, token_ids, lengths, num_unknown):
        """Checks texts split into words. `num_unknown` must be 0, unless it is `None`."""
        most = self._limits.max_text_words
        checks = [_check_rows(lengths <= most, f"`{name}` may have at most {most} words", lengths)]
        if num_unknown is not None:
            message = f"`{name}` has words outside the vocabulary, which has no <unk>"
            checks.append(_check_rows(num_unknown == 0, message, num_unknown))
        return _after(checks, token_ids, lengths)

    def padded_ids(self, token_ids, lengths):
        """Checks rows of ids, and replaces their padding with 0."""
        width, most = tf.shape(token_ids)[1], self._limits.max_text_words
        message = f"`token_ids` may have at most {most} columns. Received:"
        checks = [
            _check(width <= most, message, width),
            _check_range("lengths", lengths, 0, width, "the number of columns"),
        ]
        token_ids, lengths = _after(checks, token_ids, lengths)
        token_ids = tf.where(tf.sequence_mask(lengths, tf.shape(token_ids)[1]), token_ids, 0)
        is_valid = tf.reduce_all((token_ids >= 0) & (token_ids <= self._max_id), axis=1)
        message = f"`token_ids` must be from 0 to {self._max_id}"
        return _after([_check_rows(is_valid, message)], token_ids, lengths)

    def step(self, token_ids, state):
        """Checks the inputs of `step`."""
        is_finite = tf.reduce_all(tf.math.is_finite(state), axis=1)
        checks = [
            _check_range("token_ids", token_ids, 0, self._max_id),
            _check_rows(is_finite, "`state` must be finite"),
        ]
        return _after(checks, token_ids, state)

    def next_word(self, k):
        """Checks the options of `next_word`."""
        most = min(self._limits.max_k, self._max_id + 1)
        return _after([_check_range("k", k, 1, most)], k)[0]

    def generate(self, max_words, temperature, top_k, top_p, seed):
        """Checks the options of `generate`."""
        message = "`top_p` must be above 0 and at most 1"
        checks = [
            _check_range("max_words", max_words, 1, self._limits.max_words),
            _check_range("temperature", temperature, 0, tf.float32.max),
            _check_range("top_k", top_k, 0, tf.int32.max),
            _check_rows((top_p > 0) & (top_p <= 1), message, top_p),
            # Seeds are split into two non-negative int32 values.
            _check_range("seed", seed, 0, 2**62 - 1),
        ]
        return _after(checks, max_words, temperature, top_k, top_p, seed)


def _check(condition, *data):
    return tf.raw_ops.Assert(condition=condition, data=list(data), summarize=1)


def _check_rows(condition, message, received=None):
    """Checks each row, and reports the first invalid one."""
    invalid = tf.where(tf.logical_not(condition))[:1, 0]
    data = [] if received is None else ["Received:", tf.gather(received, invalid)]
    return _check(tf.reduce_all(condition), f"{message}. Row:", invalid, *data)


def _check_range(name, values, low, high, high_name=None):
    # NaN fails both comparisons.
    message = f"`{name}` must be from {low} to {high_name or high}"
    return _check_rows((values >= low) & (values <= high), message, values)


def _after(checks, *tensors):
    with tf.control_dependencies(checks):
        return [tf.identity(tensor) for tensor in tensors]
