"""What a request may ask for: checks that run in the graph, before anything is computed.

A request is refused as a whole, with INVALID_ARGUMENT and the first row that is at fault: half an
answer would hide the fault. Where a server merges the requests of several clients into one batch,
they share that fate.
"""

import tensorflow as tf

from serving.limit_settings import Limits

__all__ = ["Limits", "RequestChecks"]

# A seed is two int32 of 31 bits, as everywhere in the library.
_LARGEST_SEED = 2**62


class RequestChecks:
    """Checks of the inputs of a signature.

    Each method returns its inputs behind the checks: what is computed from them waits for the
    checks to hold.

    Args:
        limits: `Limits`.
        vocabulary_size: number of words.
    """

    def __init__(self, limits, vocabulary_size):
        self._limits = limits
        self._vocabulary_size = vocabulary_size

    def batch(self, **inputs):
        """Checks that inputs have their rank, and as many rows as each other.

        Args:
            **inputs: tensors by name.

        Returns:
            list of the tensors, in their order.
        """
        # A server feeds what it is sent: only the graph compares it with the signature.
        inputs = {name: tf.ensure_shape(value, value.shape) for name, value in inputs.items()}
        sizes = {name: tf.shape(value)[0] for name, value in inputs.items()}
        largest = self._limits.max_batch_size
        first, *others = sizes
        checks = [
            _holds(
                sizes[first] <= largest,
                f"a request may have {largest} rows at most. Received:",
                sizes[first],
            )
        ]
        for name in others:
            checks.append(
                _holds(
                    tf.equal(sizes[name], sizes[first]),
                    f"`{first}` and `{name}` must have as many rows as each other. Received:",
                    sizes[first],
                    sizes[name],
                )
            )
        return _behind(checks, *inputs.values())

    def text(self, name, text):
        """Checks texts before they are split."""
        lengths = tf.strings.length(text)
        most = self._limits.max_text_bytes
        check = _rows_hold(lengths <= most, f"a `{name}` may have {most} bytes at most", lengths)
        [text] = _behind([check], text)
        # What is not UTF-8 comes out changed.
        read = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        check = _rows_hold(tf.equal(read, text), f"`{name}` must be valid UTF-8")
        return _behind([check], text)[0]

    def words(self, name, token_ids, lengths, num_unknown=None):
        """Checks texts that were split.

        Args:
            name: name of the input.
            token_ids: int32 tensor (batch_size, timesteps).
            lengths: int32 tensor (batch_size,).
            num_unknown: None, or int32 tensor (batch_size,) of what must be 0.
        """
        most = self._limits.max_text_words
        checks = [_rows_hold(lengths <= most, f"a `{name}` may have {most} words at most", lengths)]
        if num_unknown is not None:
            checks.append(
                _rows_hold(
                    tf.equal(num_unknown, 0),
                    f"`{name}` must have words of the vocabulary only: there is no <unk> to stand "
                    "for others",
                    num_unknown,
                )
            )
        return _behind(checks, token_ids, lengths)

    def padded_ids(self, token_ids, lengths):
        """Checks rows of ids with lengths; padding may be anything, and is 0 from here on."""
        width, most = tf.shape(token_ids)[1], self._limits.max_text_words
        checks = [
            _holds(width <= most, f"`token_ids` may have {most} columns at most. Received:", width),
            _rows_hold(
                (lengths >= 0) & (lengths <= width),
                "`lengths` must be at least 0, and at most the columns of `token_ids`",
                lengths,
            ),
        ]
        token_ids, lengths = _behind(checks, token_ids, lengths)
        token_ids = tf.where(tf.sequence_mask(lengths, tf.shape(token_ids)[1]), token_ids, 0)
        # One id that is outside shows in the smallest or the largest of its row.
        smallest = tf.reduce_min(tf.pad(token_ids, [[0, 0], [0, 1]]), axis=1)
        largest = tf.reduce_max(tf.pad(token_ids, [[0, 0], [0, 1]]), axis=1)
        wrong = tf.where(smallest < 0, smallest, largest)
        check = _rows_hold(self._is_id(wrong), self._ids_message(), wrong)
        return _behind([check], token_ids, lengths)

    def step(self, token_ids, state):
        """Checks one word and one state a row."""
        checks = [
            _rows_hold(self._is_id(token_ids), self._ids_message(), token_ids),
            _rows_hold(
                tf.reduce_all(tf.math.is_finite(state), axis=1),
                "`state` must be finite",
                tf.reduce_sum(state, axis=1),
            ),
        ]
        return _behind(checks, token_ids, state)

    def next_word(self, k):
        """Checks how many words are asked for."""
        most = self._limits.max_k
        check = _rows_hold((k >= 1) & (k <= most), f"`k` must be from 1 to {most}", k)
        return _behind([check], k)[0]

    def generate(self, max_words, temperature, top_k, top_p, seed):
        """Checks how a text is to be drawn."""
        most = self._limits.max_words
        checks = [
            _rows_hold(
                (max_words >= 1) & (max_words <= most),
                f"`max_words` must be from 1 to {most}",
                max_words,
            ),
            _rows_hold(
                tf.math.is_finite(temperature) & (temperature >= 0),
                "`temperature` must be a finite number of at least 0",
                temperature,
            ),
            _rows_hold(top_k >= 0, "`top_k` must be at least 0, which is for all words", top_k),
            # Not so for NaN.
            _rows_hold((top_p > 0) & (top_p <= 1), "`top_p` must be above 0, and at most 1", top_p),
            _rows_hold(
                (seed >= 0) & (seed < _LARGEST_SEED),
                "`seed` must be at least 0, and below 2**62",
                seed,
            ),
        ]
        return _behind(checks, max_words, temperature, top_k, top_p, seed)

    def _is_id(self, ids):
        return (ids >= 0) & (ids < self._vocabulary_size)

    def _ids_message(self):
        return f"`token_ids` must be at least 0, and below {self._vocabulary_size}"


def _holds(condition, *data):
    """An operation that fails with INVALID_ARGUMENT and the data unless the condition holds."""
    return tf.raw_ops.Assert(condition=condition, data=list(data), summarize=1)


def _rows_hold(condition, message, received=None):
    """`_holds` for a condition in each row; the first row that breaks it is named."""
    broken = tf.where(tf.logical_not(condition))[:1, 0]
    data = [] if received is None else ["Received:", tf.gather(received, broken)]
    return _holds(tf.reduce_all(condition), f"{message}. Row:", broken, *data)


def _behind(checks, *tensors):
    with tf.control_dependencies(checks):
        return [tf.identity(tensor) for tensor in tensors]
