import dataclasses
import tracemalloc

import numpy as np
import pytest

from awd_keras.data import EOS, UNK, Corpus, Tokenizer, Vocabulary, load_corpus
from awd_keras.errors import InputError

TEXTS = {
    "train": ["the cat sat\n", "", "the <unk> sat"],
    "validation": ["a cat", "the cat"],
    "test": [" the\tdog  <unk> "],
}


def words(corpus, split):
    return corpus.vocabulary.decode(getattr(corpus, split))


def test_words_in_order_with_eos_after_each_line():
    texts = {split: iter(lines) for split, lines in TEXTS.items()}
    corpus = Corpus.from_texts("cats", texts, source="a test")
    assert corpus.vocabulary.words == ("the", "cat", "sat", EOS, UNK)
    assert words(corpus, "train") == ["the", "cat", "sat", EOS, EOS, "the", UNK, "sat", EOS]
    assert words(corpus, "validation") == [UNK, "cat", EOS, "the", "cat", EOS]
    assert words(corpus, "test") == ["the", UNK, UNK, EOS]
    assert corpus.train.dtype == np.int32
    assert corpus.token_counts == {"train": 9, "validation": 6, "test": 4}
    # The `<unk>` written in the test text does not count.
    assert corpus.unknown_counts == {"train": 0, "validation": 1, "test": 1}
    assert (corpus.name, corpus.source) == ("cats", "a test")


def test_the_vocabulary_is_limited_to_frequent_words():
    corpus = Corpus.from_texts("cats", TEXTS, max_vocabulary_size=4)
    assert corpus.vocabulary.words == (UNK, EOS, "the", "sat")
    assert words(corpus, "train") == ["the", UNK, "sat", EOS, EOS, "the", UNK, "sat", EOS]
    assert corpus.unknown_counts == {"train": 1, "validation": 3, "test": 1}


def test_unknown_words_need_unk():
    texts = {"train": ["a b"], "validation": ["b x y x"], "test": ["a"]}
    with pytest.raises(InputError, match=r"validation text \(memory\): The word 'x'"):
        Corpus.from_texts("letters", texts)
    corpus = Corpus.from_texts("letters", texts | {"validation": ["b"]})
    assert corpus.vocabulary.unk_id is None
    assert corpus.unknown_counts == {"train": 0, "validation": 0, "test": 0}


def test_tokenizers_of_raw_text_have_an_unknown_word():
    texts = {"train": ["No, no!"], "validation": ["No?"], "test": ["no"]}
    tokenizer = Tokenizer("basic", lowercase=True)
    corpus = Corpus.from_texts("letters", texts, tokenizer=tokenizer)
    assert corpus.vocabulary == Vocabulary(["no", ",", "!", EOS, UNK], tokenizer)
    assert words(corpus, "validation") == ["no", UNK, EOS]
    corpus = Corpus.from_texts("letters", texts, tokenizer=Tokenizer("character"))
    assert "".join(words(corpus, "train")) == "No, no!<eos>"
    assert corpus.unknown_counts == {"train": 0, "validation": 1, "test": 0}


def test_marks_of_sentences_are_reported_for_each_text():
    texts = {"train": ["a b <eos>", "a"], "validation": ["a", "b"], "test": ["<s> a </s>"]}
    texts["train"].append("<unk>")
    with pytest.warns(UserWarning) as warned:
        Corpus.from_texts("letters", texts)
    messages = [str(warning.message) for warning in warned]
    assert [message.partition(" has ")[0] for message in messages] == [
        "The train text (memory)",
        "The test text (memory)",
    ]


def test_one_long_line_needs_no_more_memory(tmp_path):
    generator, peaks = np.random.default_rng(0), []
    tokens = [f"w{word}" for word in generator.integers(2000, size=300_000)]
    for length in (20, len(tokens)):
        lines = [" ".join(tokens[i : i + length]) for i in range(0, len(tokens), length)]
        (tmp_path / "train.txt").write_text("\n".join(lines))
        (tmp_path / "valid.txt").write_text("w1\n")
        (tmp_path / "test.txt").write_text("w1\n")
        tracemalloc.start()
        load_corpus("text", tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"test": ["", " \n"]}, "test text .* must contain words. Received: 2 empty lines"),
        ({"train": "the cat"}, r"train text \(memory\) must be a list of lines"),
    ],
)
def test_invalid_texts(change, message):
    with pytest.raises(InputError, match=message):
        Corpus.from_texts("cats", TEXTS | change)


def test_a_corpus_is_frozen():
    corpus = Corpus.from_texts("cats", TEXTS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        corpus.train = corpus.test
    with pytest.raises(ValueError, match="read-only"):
        corpus.train[0] = 1


def test_truncated():
    texts = {"train": ["a b c d", "a b a b"], "validation": ["a d"], "test": ["b"]}
    whole = Corpus.from_texts("letters", texts, max_vocabulary_size=4)
    assert whole.unknown_counts["train"] == 2
    corpus = whole.truncated(3)
    np.testing.assert_array_equal(corpus.train, whole.train[:3])
    np.testing.assert_array_equal(corpus.validation, whole.validation)
    assert corpus.vocabulary is whole.vocabulary
    assert corpus.unknown_counts["train"] == 1
    assert corpus.source.endswith("the first 3 training tokens")
    assert corpus.digest != whole.digest
    assert whole.truncated(10) is whole
