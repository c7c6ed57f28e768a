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
        path, digest = self._asset.asset_path, vocabulary.digest
        ids = _Initializer(digest, path, tf.string, word, tf.int64, number)
        words = _Initializer(digest, path, tf.int64, number, tf.string, word)
        self._ids = tf.lookup.StaticHashTable(ids, -1)
        self._words = tf.lookup.StaticHashTable(words, "")

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


class _Initializer(tf.lookup.TextFileInitializer):
    """A table's content, and with it the name by which a process knows the table.

    TensorFlow makes that name of the file's path, which a new folder would have again with other
    words in it, and which is nobody's business. Tables of the same words may well be one.
    """

    def __init__(self, digest, path, key_dtype, *args):
        # Read when the table is made.
        self._digest, self._kind = digest, tf.as_dtype(key_dtype).name
        super().__init__(path, key_dtype, *args)

    @property
    def _shared_name(self):
        return f"vocabulary_{self._digest}_by_{self._kind}"
