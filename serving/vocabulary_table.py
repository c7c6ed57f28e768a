"""Conversion of words to ids and back, inside the graph."""

import tensorflow as tf

# Non-ASCII whitespace, in RE2 syntax. StringSplitV2 splits only at ASCII whitespace.
_WHITE_SPACE = (
    r"[\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
)


class VocabularyTable(tf.Module):
    """A vocabulary inside a graph.

    It splits texts at the same characters as `str.split`, which training uses.

    Args:
        vocabulary: A `Vocabulary` with `<eos>`.
    """

    def __init__(self, vocabulary):
        super().__init__()
        self.eos_id = vocabulary.eos_id
        self.has_unk = vocabulary.unk_id is not None
        # Without <unk>, unknown words get any valid id; callers check num_unknown.
        self._unk_id = vocabulary.unk_id if self.has_unk else vocabulary.eos_id
        self._words = tf.constant([*vocabulary.words, ""])
        ids = tf.range(len(vocabulary), dtype=tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(self._words[:-1], ids)
        self._ids = tf.lookup.StaticHashTable(initializer, -1)

    def encode(self, text):
        """Splits texts into words and looks up their ids.

        Args:
            text: String tensor of shape `(batch_size,)`, UTF-8.

        Returns:
            `(token_ids, lengths, num_unknown)`: int32 tensors of shapes `(batch_size, timesteps)`,
            padded with zeros, `(batch_size,)` and `(batch_size,)`. Unknown words have the id of
            `<unk>`, or of `<eos>` if the vocabulary has no `<unk>`.
        """
        # An empty separator splits at any run of whitespace.
        words = tf.raw_ops.StringSplitV2(input=ascii_spaces(text), sep="", maxsplit=-1)
        ids = tf.cast(self._ids.lookup(words.values), tf.int32)
        rows = tf.cast(words.indices[:, 0], tf.int32)
        batch_size = tf.shape(text)[0]
        lengths = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, batch_size)
        is_unknown = ids < 0
        num_unknown = tf.math.unsorted_segment_sum(tf.cast(is_unknown, tf.int32), rows, batch_size)
        ids = tf.where(is_unknown, self._unk_id, ids)
        return tf.scatter_nd(words.indices, ids, words.shape), lengths, num_unknown

    def decode(self, token_ids):
        """Returns the words of int32 ids. The word of a negative id is empty."""
        last = self._words.shape[0] - 1
        return tf.gather(self._words, tf.where(token_ids < 0, last, token_ids))


def ascii_spaces(text):
    """Replaces non-ASCII whitespace with spaces in a string tensor."""
    return tf.strings.regex_replace(text, _WHITE_SPACE, " ")
