"""Corpora in folders of plain text files."""

import codecs
import pathlib
import re
import warnings

from awd_keras.data.tokenizer import BYTE_ORDER_MARK, WHITESPACE
from awd_keras.errors import InputError

SPLITS = ("train", "validation", "test")
# Names of the training, validation and test files.
FILE_NAMES = (
    ("train.txt", "valid.txt", "test.txt"),
    ("train.txt", "validation.txt", "test.txt"),
    ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
    ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
)
CHARACTER_FILE_NAMES = (
    FILE_NAMES[0],
    ("ptb.char.train.txt", "ptb.char.valid.txt", "ptb.char.test.txt"),
)
_UTF_16_MARKS = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
_MARK = re.compile("<eos>|</?s>")


def read_text_folder(folder, file_names=FILE_NAMES):
    """Reads the three text files of a folder.

    By default, the files are named `train.txt`, `valid.txt` (or `validation.txt`) and `test.txt`,
    or as in Penn Treebank (`ptb.train.txt`, ...) or WikiText (`wiki.train.tokens`, ...).

    Args:
        folder: The folder.
        file_names: Possible names of the training, validation and test files, tuples of three.

    Returns:
        A dictionary with a list of lines for each of `"train"`, `"validation"` and `"test"`.

    Raises:
        OSError: If the folder or a file cannot be read.
        InputError: If the folder does not contain the files of exactly one corpus, or a file is
            empty or not UTF-8.
    """
    folder = pathlib.Path(folder).expanduser()
    found = {path.name for path in folder.iterdir()}
    complete = [names for names in file_names if found.issuperset(names)]
    if len(complete) != 1:
        expected = "; ".join(", ".join(names) for names in file_names)
        raise InputError(
            f"{folder} must contain exactly one of these sets of files: {expected}. "
            f"Received: {', '.join(sorted(found)[:12]) or 'an empty folder'}"
        )
    return {split: read_lines(folder / name) for split, name in zip(SPLITS, complete[0])}


def read_lines(path):
    """Returns the lines of a UTF-8 file, including empty lines, as `decoded_lines` reads them.

    Raises:
        OSError: If the file cannot be read.
        InputError: If it contains no words or is not UTF-8.
    """
    with open(path, "rb") as file:
        lines = list(decoded_lines(file, path))
    if all(not line or line.isspace() for line in lines):
        raise InputError(f"{path} must contain text. Received: a file without words.")
    return lines


def decoded_lines(file, name, errors="strict"):
    """Yields the lines of a UTF-8 file, without line endings and byte order marks.

    Args:
        file: A binary file.
        name: Its name, for messages.
        errors: As for `bytes.decode`. Defaults to `"strict"`, which refuses invalid UTF-8.

    Raises:
        InputError: If the file is not UTF-8, or contains NUL bytes as UTF-16 does.
    """
    # Not `str.splitlines`, which would also split at form feeds and other characters within a line.
    for number, content in enumerate(file, 1):
        if number == 1 and content.startswith(_UTF_16_MARKS):
            raise InputError(
                f"{name} must be encoded in UTF-8. Received: UTF-16. Convert it with "
                "iconv -f UTF-16 -t UTF-8."
            )
        if b"\0" in content:
            order = "LE" if content.index(b"\0") % 2 else "BE"
            raise InputError(
                f"{name} must not contain NUL bytes. Received: one in line {number}. If it is "
                f"UTF-16, convert it with iconv -f UTF-16{order} -t UTF-8; otherwise remove them "
                r"with tr -d '\000'."
            )
        try:
            text = content.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", errors)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name} must be encoded in UTF-8. Received: byte 0x{content[error.start]:02x} in "
                f"line {number}. Convert it, for example with iconv -f WINDOWS-1252 -t UTF-8."
            ) from None
        del content  # a line may be a whole book
        for line in text.split("\r"):
            # Files that were joined have byte order marks inside.
            yield line.lstrip(BYTE_ORDER_MARK)


def warn_of_marks(lines, name, tokenizer=WHITESPACE):
    """Yields lines, and finally warns if some of them contain `<eos>`, `<s>` or `</s>` as tokens.

    Args:
        lines: An iterable of strings.
        name: The name of the text, for the warning.
        tokenizer: The `Tokenizer` of the lines. Defaults to one that splits at whitespace.
    """
    count = 0
    for line in lines:
        if _MARK.search(line):
            count += any(map(_MARK.fullmatch, tokenizer.split(line)))
        yield line
    if count:
        warnings.warn(
            f"{name} has <eos>, <s> or </s> as words in {count:,} of its lines. Every line gets an "
            "<eos> of its own, so the perplexity is too good. Remove them, for example with "
            "sed -E 's,</?s>|<eos>,,g'.",
            stacklevel=2,
        )
