import random

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import Tokenizer, Vocabulary
from serving.vocabulary_table import VocabularyTable

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

    def test_only_the_first_words_of_a_long_text(self):
        texts = tf.constant(["the dog " * 1000, "cat"])
        ids, lengths, num_unknown = VocabularyTable(VOCABULARY).encode(texts, max_words=3)
        assert ids.numpy().tolist() == [[0, 1, 0], [2, 0, 0]]
        assert lengths.numpy().tolist() == [2000, 1]
        assert num_unknown.numpy().tolist() == [1, 0]

    def test_ids_become_words(self):
        words = VocabularyTable(VOCABULARY).decode(tf.constant([[0, 5, 6], [9, -1, 1]])).numpy()
        decoded = [[word.decode() for word in row] for row in words]
        assert decoded == [["the", "\u732b", "a\0b"], ["'", "", "<unk>"]]

    def test_tables_of_several_vocabularies_are_independent(self):
        tables = [VocabularyTable(Vocabulary(["<unk>", "<eos>", *words])) for words in ("ab", "ba")]
        ids = [table.encode(tf.constant(["a"]))[0].numpy().tolist() for table in tables]
        assert ids == [[[2]], [[3]]]


def random_texts():
    """Texts of all kinds of characters, and of those with a meaning for a tokenizer."""
    generator = random.Random(0)
    everything = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    spaces = [character for character in everything if character.isspace()]
    special = [
        *"aB1.,;'-\u2019\u2013\u0130\u03a3\u00e9\u732b\ufeff",
        "<unk>",
        "<EOS>",
        "</s>",
        "</",
    ]
    for length in range(200):
        for characters in (everything, everything[:0x3000], [*spaces, *special], special):
            yield "".join(generator.choices(characters, k=length % 50))


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("name", ["whitespace", "basic", "character"])
def test_tokenizers_split_and_join_like_python(name, lowercase):
    tokenizer, texts = Tokenizer(name, lowercase), list(random_texts())
    split = [list(tokenizer.split(text)) for text in texts]
    table = VocabularyTable(Vocabulary({"<eos>": 0} | dict.fromkeys(sum(split, [])), tokenizer))
    ids, lengths, num_unknown = table.encode(tf.constant(texts))
    assert not np.any(num_unknown)
    for row, length, tokens in zip(ids.numpy(), lengths.numpy(), split, strict=True):
        assert table.decode(row[:length]).numpy().tolist() == [t.encode() for t in tokens]
    joined = table.append(tf.constant(texts), tf.constant([[0, -1]] * len(texts)))
    expected = [tokenizer.join([*tokens, "<eos>"]).encode() for tokens in split]
    assert joined.numpy().tolist() == expected
