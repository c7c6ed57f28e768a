import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from awd_keras.data import EOS, UNK, Corpus
from awd_keras.errors import InputError

TEXTS = {
    "train": ["the cat sat\n", "", "the <unk> sat"],
    "validation": ["a cat", "the cat"],
    "test": [" the\tdog  <unk> "],
}


def words(corpus, split):
    return corpus.vocabulary.decode(getattr(corpus, split))


def test_words_in_order_and_an_eos_for_each_line():
    corpus = Corpus.from_texts("cats", TEXTS, source="a test")
    assert corpus.vocabulary.words == ("the", "cat", "sat", EOS, UNK)
    assert words(corpus, "train") == ["the", "cat", "sat", EOS, EOS, "the", UNK, "sat", EOS]
    assert words(corpus, "validation") == [UNK, "cat", EOS, "the", "cat", EOS]
    assert words(corpus, "test") == ["the", UNK, UNK, EOS]
    assert corpus.train.dtype == np.int32
    assert corpus.token_counts == {"train": 9, "validation": 6, "test": 4}
    assert (corpus.name, corpus.source) == ("cats", "a test")


def test_only_words_outside_the_vocabulary_are_counted():
    corpus = Corpus.from_texts("cats", TEXTS)
    # The test text has one `<unk>` of its own.
    assert corpus.unknown_counts == {"train": 0, "validation": 1, "test": 1}


def test_the_vocabulary_is_limited_to_the_frequent_words_of_train():
    corpus = Corpus.from_texts("cats", TEXTS, max_vocabulary_size=4)
    assert corpus.vocabulary.words == (UNK, EOS, "the", "sat")
    assert words(corpus, "train") == ["the", UNK, "sat", EOS, EOS, "the", UNK, "sat", EOS]
    assert corpus.unknown_counts == {"train": 1, "validation": 3, "test": 1}


def test_one_shot_iterables():
    corpus = Corpus.from_texts("cats", {split: iter(lines) for split, lines in TEXTS.items()})
    assert corpus.token_counts == {"train": 9, "validation": 6, "test": 4}


def test_unknown_words_without_unk():
    texts = {"train": ["a b"], "validation": ["b x y x"], "test": ["a"]}
    with pytest.raises(InputError, match="3 tokens of the validation.*'x'.*max_vocabulary_size"):
        Corpus.from_texts("letters", texts)
    # Without unknown words `<unk>` is not needed.
    corpus = Corpus.from_texts("letters", texts | {"validation": ["b"]})
    assert corpus.vocabulary.unk_id is None
    assert corpus.unknown_counts == {"train": 0, "validation": 0, "test": 0}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"validation": []}, "validation text of 'cats'.*no word"),
        ({"test": ["", " \n"]}, "test text of 'cats'.*no word in its 2 lines"),
        ({"train": "the cat"}, "train text must be an iterable of lines"),
        ({"valid": ["the"]}, "Received: .*'valid'"),
    ],
)
def test_bad_texts(change, message):
    with pytest.raises(InputError, match=message):
        Corpus.from_texts("cats", TEXTS | change)


def test_a_missing_text():
    with pytest.raises(InputError, match="needs the texts"):
        Corpus.from_texts("cats", {"train": ["a"]})


def test_a_bad_limit_is_a_corpus_error():
    with pytest.raises(InputError, match="'cats' cannot be built.*max_size"):
        Corpus.from_texts("cats", TEXTS, max_vocabulary_size=1)


def test_a_corpus_is_frozen():
    corpus = Corpus.from_texts("cats", TEXTS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        corpus.train = corpus.test
    with pytest.raises(ValueError, match="read-only"):
        corpus.train[0] = 1


def test_describe():
    lines = Corpus.from_texts("cats", TEXTS).describe().split("\n")
    assert lines[0] == "cats: 9 train, 6 validation, 4 test tokens, 5 words (memory)"
    assert lines[1].endswith("became <unk>: 1 validation (16.67%), 1 test (25.00%)")
    known = {"train": ["a"], "validation": ["a"], "test": ["a"]}
    assert "\n" not in Corpus.from_texts("letters", known).describe()


def test_the_package_does_not_import_tensorflow():
    code = (
        "import sys, awd_keras.data\n"
        "bad = {'tensorflow', 'tensorflow_datasets', 'keras', 'pandas'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestTruncated:
    TEXTS = {"train": ["a b c d", "a b a b"], "validation": ["a d"], "test": ["b"]}

    def test_the_beginning_with_the_same_words(self):
        whole = Corpus.from_texts("letters", self.TEXTS)
        corpus = whole.truncated(4)
        np.testing.assert_array_equal(corpus.train, whole.train[:4])
        np.testing.assert_array_equal(corpus.validation, whole.validation)
        assert corpus.vocabulary is whole.vocabulary
        assert corpus.source.endswith("the first 4 training tokens")

    def test_words_outside_the_vocabulary_are_counted_again(self):
        # a, b and <eos> are kept.
        whole = Corpus.from_texts("letters", self.TEXTS, max_vocabulary_size=4)
        assert whole.unknown_counts["train"] == 2
        assert whole.truncated(3).unknown_counts["train"] == 1

    def test_a_text_that_is_short_enough(self):
        whole = Corpus.from_texts("letters", self.TEXTS)
        assert whole.truncated(10) is whole
