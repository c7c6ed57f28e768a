"""Conversion of texts to ids and back, inside the graph."""

import tensorflow as tf

from awd_keras.data.tokenizer import BASIC_TOKEN, BYTE_ORDER_MARK, WHITE_SPACE, lower


class VocabularyTable(tf.Module):
    """A vocabulary inside a graph.

    It splits texts exactly like the vocabulary's `Tokenizer`, which training uses.

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
        self._tokenizer = vocabulary.tokenizer.name
        self._lower = _lower_case_table() if vocabulary.tokenizer.lowercase else None

    def encode(self, text, max_words=None):
        """Splits texts into words and looks up their ids.

        Args:
            text: String tensor of shape `(batch_size,)`, UTF-8.
            max_words: Number of words of each text to look up. Bounds the memory. Defaults to all.

        Returns:
            `(token_ids, lengths, num_unknown)`: int32 tensors of shapes `(batch_size, timesteps)`,
            padded with zeros, `(batch_size,)` and `(batch_size,)`. Unknown words have the id of
            `<unk>`, or of `<eos>` if the vocabulary has no `<unk>`. Only the lengths
            also count words after the first `max_words`.
        """
        text = self._clean(text)
        if self._tokenizer == "character":
            words = tf.strings.unicode_split(text, "UTF-8")
        else:
            words = tf.strings.split(text)
        lengths = tf.cast(words.row_lengths(), tf.int32)
        words = words[:, :max_words].to_sparse()
        ids = tf.cast(self._ids.lookup(words.values), tf.int32)
        is_unknown = ids < 0
        num_unknown = tf.math.unsorted_segment_sum(
            tf.cast(is_unknown, tf.int32), words.indices[:, 0], tf.shape(text)[0]
        )
        ids = tf.where(is_unknown, self._unk_id, ids)
        return tf.scatter_nd(words.indices, ids, words.dense_shape), lengths, num_unknown

    def decode(self, token_ids):
        """Returns the words of int32 ids. The word of a negative id is empty."""
        last = self._words.shape[0] - 1
        return tf.gather(self._words, tf.where(token_ids < 0, last, token_ids))

    def append(self, text, token_ids):
        """Appends the words of int32 ids `(batch_size, timesteps)`, except negative ids, to texts.

        The texts are first converted to tokens and back.
        """
        blank = "" if self._tokenizer == "character" else " "
        words = tf.strings.join([blank, self.decode(token_ids)])
        words = tf.strings.reduce_join(tf.where(token_ids >= 0, words, ""), axis=1)
        text = tf.strings.join([self._clean(text), words])
        return tf.strings.strip(text) if blank else text

    def _clean(self, text):
        """Returns texts in lower case if need be, and with single spaces between tokens."""
        text = tf.strings.regex_replace(text, f"^{BYTE_ORDER_MARK}+", "")
        if self._lower is not None:
            codes = tf.strings.unicode_decode(text, "UTF-8")
            found = self._lower.lookup(codes.values)
            codes = codes.with_values(tf.where(found < 0, codes.values, found))
            text = tf.strings.unicode_encode(codes, "UTF-8")
        if self._tokenizer == "character":
            return text
        if self._tokenizer == "basic":
            text = tf.strings.regex_replace(text, BASIC_TOKEN, r" \0 ")
        # `tf.strings.split` would split only at ASCII whitespace.
        return tf.strings.strip(tf.strings.regex_replace(text, f"[{WHITE_SPACE}]+", " "))


def _lower_case_table():
    codes = [code for code in range(0x110000) if lower(chr(code)) != chr(code)]
    lower_codes = [ord(lower(chr(code))) for code in codes]
    initializer = tf.lookup.KeyValueTensorInitializer(codes, lower_codes, tf.int32, tf.int32)
    return tf.lookup.StaticHashTable(initializer, -1)
