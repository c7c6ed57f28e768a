"""Corpora in folders of plain text files."""

import pathlib

from awd_keras.data.corpus import SPLITS
from awd_keras.errors import InputError

# The names of the train, validation and test files, one scheme a row.
NAMING_SCHEMES = (
    ("train.txt", "valid.txt", "test.txt"),
    ("train.txt", "validation.txt", "test.txt"),
    ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
    ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
)


def read_text_folder(folder):
    """Reads the three text files of a folder.

    The files are `train.txt`, `valid.txt` (or `validation.txt`) and `test.txt`, or those of
    Penn Treebank, `ptb.train.txt` and so on, or those of WikiText, `wiki.train.tokens` and so on.

    Args:
        folder: The folder's path.

    Returns:
        A dict of a list of lines, without their ends, for "train", "validation" and "test".

    Raises:
        InputError: If the folder or a file is missing, cannot be read, is empty or is not
            UTF-8, or if the folder holds the files of more than one corpus.
    """
    folder = pathlib.Path(folder).expanduser()
    expected = "; or ".join(", ".join(scheme) for scheme in NAMING_SCHEMES)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(f"The data folder {folder} {what}. Expected a folder with: {expected}.")
    try:
        present = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise InputError(f"The data folder {folder} cannot be read: {error.strerror}.") from error
    complete = [scheme for scheme in NAMING_SCHEMES if set(scheme) <= set(present)]
    if not complete:
        raise InputError(
            f"The data folder {folder} lacks a train, a validation or a test file. "
            f"Expected: {expected}. Found: {_listing(present)}."
        )
    if len(complete) > 1:
        raise InputError(
            f"The data folder {folder} holds the files of {len(complete)} corpora: "
            f"{'; and '.join(', '.join(scheme) for scheme in complete)}. Leave one of them there."
        )
    return {split: read_lines(folder / name) for split, name in zip(SPLITS, complete[0])}


def read_lines(path):
    """Reads the lines of a UTF-8 text file.

    Args:
        path: The file's path.

    Returns:
        A list of lines without their ends. Empty lines are kept.

    Raises:
        InputError: If the file cannot be read, has no word or is not UTF-8.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"The file {path} cannot be read: {error.strerror}.") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"The file {path} is not UTF-8: byte {error.start} (line {line}) is "
            f"0x{content[error.start]:02x}. Convert it, for example with: "
            f"iconv -f ISO-8859-1 -t UTF-8 {path.name}"
        ) from None
    text = text.removeprefix("\ufeff")  # the byte order mark some editors write
    if not text.strip():
        raise InputError(
            f"The file {path} is empty ({len(content)} bytes, no word). Put the text there: words "
            "separated by white space, a sentence or paragraph on each line."
        )
    # Not `splitlines`, which also splits at form feeds and other characters within a line.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _listing(names, limit=12):
    if not names:
        return "nothing"
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
