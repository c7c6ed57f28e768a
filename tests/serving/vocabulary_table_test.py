import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import Vocabulary
from serving.vocabulary_table import VocabularyTable, spaced

WORDS = ["the", "<unk>", "cat", "<eos>", "caf\xe9", "\u732b", "a\0b", "\ufeff", "#", "'"]


@pytest.fixture
def make_table(tmp_path):
    def make(words):
        vocabulary = Vocabulary(words)
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.txt"
        vocabulary.save(path)
        table = VocabularyTable(vocabulary, path)
        return vocabulary, table

    return make


class TestVocabularyTable:
    def test_words_are_those_of_split(self, make_table):
        """Of every white space that Python knows."""
        vocabulary, table = make_table(WORDS)
        spaces = [chr(code) for code in range(0x11000) if chr(code).isspace()]
        assert len(spaces) > 25
        texts = [f"{space}the{space}{space}dog cat{space}" for space in spaces]
        texts += ["", " ", "a\0b caf\xe9\u200bx \u732b \ufeff <eos> <unk> #\u00ad '"]
        ids, lengths, num_unknown = table.encode(tf.constant(texts))
        for row, text in enumerate(texts):
            expected = vocabulary.encode(text.split())
            assert int(lengths[row]) == len(expected), repr(text)
            np.testing.assert_array_equal(ids[row, : len(expected)], expected)
            assert int(num_unknown[row]) == sum(w not in vocabulary for w in text.split())
        assert ids.dtype == lengths.dtype == num_unknown.dtype == tf.int32
        assert ids.shape == (len(texts), max(lengths))

    def test_no_text_and_no_word(self, make_table):
        _, table = make_table(WORDS)
        for texts in ([], ["", " "]):
            ids, lengths, num_unknown = table.encode(tf.constant(texts, tf.string))
            assert ids.shape == (len(texts), 0)
            assert lengths.shape == num_unknown.shape == (len(texts),)

    def test_ids_become_words(self, make_table):
        vocabulary, table = make_table(WORDS)
        ids = [[0, 5, 6], [9, -1, 10]]
        words = [[word.decode() for word in row] for row in table.decode(ids).numpy()]
        assert words == [vocabulary.decode([0, 5, 6]), [vocabulary.decode([9])[0], "", ""]]
        assert table.eos_id == 3

    def test_without_unk(self, make_table):
        _, table = make_table(["<eos>", "the"])
        ids, lengths, num_unknown = table.encode(tf.constant(["the dog"]))
        assert not table.has_unk
        assert ids.numpy().tolist() == [[1, 0]] and num_unknown.numpy().tolist() == [1]
        assert lengths.numpy().tolist() == [2]

    def test_tables_of_other_words_are_other_tables(self, make_table):
        """In one process, where TensorFlow shares tables by name."""
        tables = [make_table(["<unk>", "<eos>", *words])[1] for words in ("ab", "ba", "ab")]
        found = [table.encode(tf.constant(["a"]))[0].numpy().tolist() for table in tables]
        assert found == [[[2]], [[3]], [[2]]]


def test_spaced_leaves_all_but_white_space():
    text = "a\u3000b\xa0c\x85d\u200be\u00ad\x1ff g"
    assert spaced(tf.constant(text)).numpy().decode() == "a b c d\u200be\u00ad f g"
