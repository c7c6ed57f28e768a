"""Words and ids in the graph: tables made from the vocabulary, which travels as an asset.

Texts are split as Python's `str.split` does, at every white space of Unicode, so that a served text
has the words that the training commands see.
"""

import tensorflow as tf

# White space beyond ASCII's, in RE2's syntax; TensorFlow splits at ASCII's by itself.
_WHITE_SPACE = (
    r"[\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
)


class VocabularyTable(tf.Module):
    """The words of a vocabulary in a graph.

    Args:
        vocabulary: `Vocabulary` with an `<eos>`.
        path: a file that it was saved to. It is copied into the export.
    """

    def __init__(self, vocabulary, path):
        super().__init__()
        self._size = len(vocabulary)
        self._eos_id = vocabulary.eos_id
        # An unknown word has an id all the same, so that indices hold.
        self._has_unk = vocabulary.unk_id is not None
        self._unk_id = vocabulary.unk_id if self._has_unk else self._eos_id
        # Both tables read the one asset.
        self._asset = tf.saved_model.Asset(str(path))
        word, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        self._ids = _table(self._asset, (tf.string, word), (tf.int64, number), -1)
        self._words = _table(self._asset, (tf.int64, number), (tf.string, word), "")

    @property
    def eos_id(self):
        """The id of `<eos>`."""
        return self._eos_id

    @property
    def has_unk(self):
        """Whether `<unk>` stands for unknown words; otherwise they have no probability."""
        return self._has_unk

    def encode(self, text):
        """Splits texts into words and looks them up.

        Args:
            text: string tensor (batch_size,), UTF-8.

        Returns:
            `(token_ids, lengths, num_unknown)`: int32 tensors (batch_size, timesteps), padded with
            zeros, (batch_size,) and (batch_size,). An unknown word has the id of `<unk>`; if there
            is none, that of `<eos>`.
        """
        # The rule of splitting at any white space is StringSplitV2's for an empty separator.
        words = tf.raw_ops.StringSplitV2(input=spaced(text), sep="", maxsplit=-1)
        ids = tf.cast(self._ids.lookup(words.values), tf.int32)
        rows = tf.cast(words.indices[:, 0], tf.int32)
        batch_size = tf.shape(text)[0]
        lengths = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, batch_size)
        unknown = ids < 0
        num_unknown = tf.math.unsorted_segment_sum(tf.cast(unknown, tf.int32), rows, batch_size)
        ids = tf.where(unknown, self._unk_id, ids)
        return tf.scatter_nd(words.indices, ids, words.shape), lengths, num_unknown

    def decode(self, token_ids):
        """String tensor of the shape of an int32 tensor of ids, '' for what is no id."""
        return self._words.lookup(tf.cast(token_ids, tf.int64))


def spaced(text):
    """Texts with the white space of ASCII only.

    Args:
        text: string tensor, UTF-8.

    Returns:
        string tensor of that shape.
    """
    return tf.strings.regex_replace(text, _WHITE_SPACE, " ")


def _table(asset, key, value, default):
    initializer = tf.lookup.TextFileInitializer(asset.asset_path, *key, *value)
    return tf.lookup.StaticHashTable(initializer, default)
