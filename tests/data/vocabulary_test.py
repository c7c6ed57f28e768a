import hashlib
import pickle
import sys

import numpy as np
import pytest

from awd_keras.data import EOS, UNK, Vocabulary
from awd_keras.errors import InputError


def test_words_ids_and_membership():
    vocabulary = Vocabulary(["a", UNK, EOS])
    assert vocabulary.words == ("a", UNK, EOS)
    assert len(vocabulary) == 3
    assert "a" in vocabulary and "b" not in vocabulary
    assert (vocabulary.unk_id, vocabulary.eos_id) == (1, 2)
    assert (Vocabulary(["a"]).unk_id, Vocabulary(["a"]).eos_id) == (None, None)


def test_equality():
    assert Vocabulary(["a", "b"]) == Vocabulary(("a", "b"))
    assert Vocabulary(["a", "b"]) != Vocabulary(["b", "a"])
    assert Vocabulary(["a"]) != "a"


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "at least one word"),
        (["a", ""], "'' as word 2"),
        (["a", "b", "a"], "'a' as words 1 and 3"),
        ([3], "Received: 3"),
    ],
)
def test_invalid_words(words, message):
    with pytest.raises(InputError, match=message):
        Vocabulary(words)


def build(*lines, **options):
    return Vocabulary.build_and_encode(lines, **options)[0].words


def test_build():
    assert build("c a", "a b") == ("c", "a", EOS, "b")
    line = "d c c b b a a a <unk> <unk> <unk> <unk>"
    # c and b are equally frequent, and c came first.
    assert build(line, max_size=4) == (UNK, EOS, "a", "c")
    assert build(line, max_size=100) == (UNK, EOS, "a", "c", "b", "d")
    assert build("a", max_size=3) == (UNK, EOS, "a")
    with pytest.raises(InputError, match="max_size=2"):
        build(line, max_size=2)


def test_build_by_frequency():
    lines = ["d c c b", "b a a a <unk>"]
    vocabulary, ids, num_unknown = Vocabulary.build_and_encode(lines, by_frequency=True)
    assert vocabulary.words == ("a", "c", "b", EOS, "d", UNK)
    assert vocabulary.decode(ids) == "d c c b <eos> b a a a <unk> <eos>".split()
    assert num_unknown == 0


def test_encode_and_decode():
    vocabulary = Vocabulary(["a", UNK, "b"])
    ids = vocabulary.encode(iter(["b", "x", "a"]))
    assert ids.dtype == np.int32
    assert ids.tolist() == [2, 1, 0]
    assert vocabulary.decode(ids) == ["b", UNK, "a"]
    assert vocabulary.encode([]).shape == (0,)


def test_encode_without_unk():
    vocabulary = Vocabulary(["a"])
    assert vocabulary.encode(["a", "a"]).tolist() == [0, 0]
    with pytest.raises(InputError, match="'x' is not in the vocabulary, which has no <unk>"):
        vocabulary.encode(["a", "x", "y"])


def test_encode_expects_words():
    with pytest.raises(ValueError, match="split"):
        Vocabulary(["a", UNK]).encode("a b")


def test_check_compatible():
    Vocabulary(["a", EOS]).check_compatible(2)
    with pytest.raises(InputError, match="predicts 3 words. Received: a vocabulary of 2 words"):
        Vocabulary(["a", EOS]).check_compatible(3)
    with pytest.raises(InputError, match="must contain <eos>"):
        Vocabulary(["a", "b"]).check_compatible(2)


def test_save_and_load(tmp_path):
    path = tmp_path / "vocabulary.txt"
    vocabulary = Vocabulary(["naïve", UNK, "“x”"])
    vocabulary.save(path)
    assert path.read_bytes() == "naïve\n<unk>\n“x”\n".encode()
    assert Vocabulary.load(path) == vocabulary
    assert vocabulary.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_white_space_is_escaped(tmp_path):
    path = tmp_path / "vocabulary.txt"
    spaces = [c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()]
    words = ["a b", r"\u0020", r"\u005cu0020", r"\\u0020", "\\ ", r"\u0041", "\\u"]
    vocabulary = Vocabulary([*spaces, *words])
    vocabulary.save(path)
    lines = path.read_text("utf-8").split("\n")
    assert len(lines) == len(vocabulary) + 1 and lines.pop() == ""
    assert all(line.split() == [line] for line in lines)
    assert r"a\u0020b" in lines and r"\u005cu0020" in lines
    assert r"\u0041" in lines  # not white space, so it is a word as it is
    assert Vocabulary.load(path) == vocabulary
    assert vocabulary.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_load_reads_files_as_texts_are_read(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(b"\xef\xbb\xbf<unk>\r\na\r\n")
    assert Vocabulary.load(path).words == (UNK, "a")
    for words in (["\ufeffa", "b"], ["a", "\ufeff", "\ufeffa"]):
        Vocabulary(words).save(path)
        assert Vocabulary.load(path).words == tuple(words)
    assert path.read_text("utf-8") == "a\n\ufeff\n\ufeffa\n"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a\nb\na\n", r"is not a vocabulary .*'a' as words 1 and 3"),
        (b"a\n\nb\n", r"one word per line.* Received: '' in line 2"),
        (b"a\nthe 1061396\n", r"one word per line.* Received: 'the 1061396' in line 2"),
        (pickle.dumps(["a"]), r"is a pickle.*load\(open\('.*txt', 'rb'\)\)\)\.save"),
    ],
)
def test_load_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Vocabulary.load(path)
