import numpy as np
import tensorflow as tf

from awd_keras.data import Vocabulary
from serving.vocabulary_table import VocabularyTable, ascii_spaces

VOCABULARY = Vocabulary(
    ["the", "<unk>", "cat", "<eos>", "caf\xe9", "\u732b", "a\0b", "\ufeff", "#", "'"]
)


class TestVocabularyTable:
    def test_splits_like_python(self):
        table = VocabularyTable(VOCABULARY)
        spaces = [chr(code) for code in range(0x11000) if chr(code).isspace()]
        assert len(spaces) > 25
        texts = [f"{space}the{space}{space}dog cat{space}" for space in spaces]
        texts += ["", " ", "a\0b caf\xe9\u200bx \u732b \ufeff <eos> <unk> #\u00ad '"]
        ids, lengths, num_unknown = table.encode(tf.constant(texts))
        for row, text in enumerate(texts):
            expected = VOCABULARY.encode(text.split())
            assert int(lengths[row]) == len(expected), repr(text)
            np.testing.assert_array_equal(ids[row, : len(expected)], expected)
            assert int(num_unknown[row]) == sum(word not in VOCABULARY for word in text.split())
        assert ids.shape == (len(texts), max(lengths))

    def test_texts_without_words(self):
        for texts in ([], ["", " "]):
            ids, lengths, _ = VocabularyTable(VOCABULARY).encode(tf.constant(texts, tf.string))
            assert ids.shape == (len(texts), 0) and lengths.shape == (len(texts),)

    def test_ids_become_words(self):
        words = VocabularyTable(VOCABULARY).decode(tf.constant([[0, 5, 6], [9, -1, 1]])).numpy()
        decoded = [[word.decode() for word in row] for row in words]
        assert decoded == [["the", "\u732b", "a\0b"], ["'", "", "<unk>"]]

    def test_tables_of_several_vocabularies_are_independent(self):
        tables = [VocabularyTable(Vocabulary(["<unk>", "<eos>", *words])) for words in ("ab", "ba")]
        ids = [table.encode(tf.constant(["a"]))[0].numpy().tolist() for table in tables]
        assert ids == [[[2]], [[3]]]


def test_ascii_spaces_replaces_only_white_space():
    text = "a\u3000b\xa0c\x85d\u200be\u00ad\x1ff g"
    assert ascii_spaces(tf.constant(text)).numpy().decode() == "a b c d\u200be\u00ad f g"
