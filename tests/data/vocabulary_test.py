import hashlib
import os

import numpy as np
import pytest

from awd_keras.data import EOS, UNK, Vocabulary


def test_words_ids_and_membership():
    vocabulary = Vocabulary(["a", UNK, EOS])
    assert vocabulary.words == ("a", UNK, EOS)
    assert len(vocabulary) == 3
    assert "a" in vocabulary and "b" not in vocabulary
    assert (vocabulary.unk_id, vocabulary.eos_id) == (1, 2)
    assert Vocabulary(["a"]).unk_id is None
    assert Vocabulary(["a"]).eos_id is None


def test_words_cannot_be_assigned():
    with pytest.raises(AttributeError):
        Vocabulary(["a"]).words = ("b",)


def test_equality_is_of_words_and_order():
    assert Vocabulary(["a", "b"]) == Vocabulary(("a", "b"))
    assert hash(Vocabulary(["a", "b"])) == hash(Vocabulary(("a", "b")))
    assert Vocabulary(["a", "b"]) != Vocabulary(["b", "a"])
    assert Vocabulary(["a"]) != "a"


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "at least one word"),
        (["a", ""], "position 1"),
        (["a b"], "white space"),
        (["a\u2028"], "white space"),
        (["a", "b", "a"], "positions 0 and 2"),
        ([3], "Received: 3"),
        ("abc", "not one string"),
    ],
)
def test_bad_words(words, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(words)


def test_build_without_limit_keeps_first_occurrences():
    assert Vocabulary.build("c a <eos> a b <eos>".split()).words == ("c", "a", EOS, "b")


def test_build_with_limit_takes_the_most_frequent():
    tokens = "d c c b b a a a <eos> <unk> <unk> <unk> <unk>".split()
    # c and b are equally frequent: c came first.
    assert Vocabulary.build(tokens, max_size=4).words == (UNK, EOS, "a", "c")
    assert Vocabulary.build(tokens, max_size=100).words == (UNK, EOS, "a", "c", "b", "d")
    assert Vocabulary.build(["a"], max_size=3).words == (UNK, EOS, "a")


@pytest.mark.parametrize("max_size", [2, 0, -1, 3.0, True, "10"])
def test_build_refuses_bad_limits(max_size):
    with pytest.raises(ValueError, match="max_size"):
        Vocabulary.build(["a"], max_size=max_size)


def test_encode_and_decode():
    vocabulary = Vocabulary(["a", UNK, "b"])
    ids = vocabulary.encode(iter(["b", "x", "a"]))
    assert ids.dtype == np.int32
    assert ids.tolist() == [2, 1, 0]
    assert vocabulary.decode(ids) == ["b", UNK, "a"]
    assert vocabulary.encode([]).shape == (0,)


def test_encode_without_unk_names_the_first_unknown_word():
    vocabulary = Vocabulary(["a"])
    assert vocabulary.encode(["a", "a"]).tolist() == [0, 0]
    with pytest.raises(ValueError, match="'x'.*<unk>"):
        vocabulary.encode(["a", "x", "y"])


def test_encode_refuses_one_string():
    with pytest.raises(ValueError, match="split"):
        Vocabulary(["a", UNK]).encode("a b")


@pytest.mark.parametrize("word_id", [-1, 2])
def test_decode_refuses_ids_out_of_range(word_id):
    with pytest.raises(ValueError, match=f"below 2.*Received: {word_id}"):
        Vocabulary(["a", "b"]).decode([0, word_id])


def test_save_and_load(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("old")
    vocabulary = Vocabulary(["naïve", UNK, "“x”"])
    vocabulary.save(path)
    assert path.read_bytes() == "naïve\n<unk>\n“x”\n".encode()
    assert Vocabulary.load(path) == vocabulary
    assert vocabulary.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert os.listdir(tmp_path) == ["vocabulary.txt"]


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "vocabulary.txt"
    Vocabulary(["old"]).save(path)

    def fail(descriptor):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        Vocabulary(["new"]).save(path)
    assert Vocabulary.load(path).words == ("old",)
    assert os.listdir(tmp_path) == ["vocabulary.txt"]


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"a\na\n", b"\xff\n"])
def test_load_refuses_other_files(tmp_path, content):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a vocabulary"):
        Vocabulary.load(path)
