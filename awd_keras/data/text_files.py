"""Corpora in folders of plain text files."""

import pathlib

from awd_keras.errors import InputError

SPLITS = ("train", "validation", "test")
# Names of the training, validation and test files.
FILE_NAMES = (
    ("train.txt", "valid.txt", "test.txt"),
    ("train.txt", "validation.txt", "test.txt"),
    ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
    ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
)


def read_text_folder(folder):
    """Reads the three text files of a folder.

    The files are named `train.txt`, `valid.txt` (or `validation.txt`) and `test.txt`, or as in Penn
    Treebank (`ptb.train.txt`, ...) or WikiText (`wiki.train.tokens`, ...).

    Returns:
        A dictionary with a list of lines for each of `"train"`, `"validation"` and `"test"`.

    Raises:
        OSError: If the folder or a file cannot be read.
        InputError: If the folder does not contain the files of exactly one corpus, or a file is
            empty or not UTF-8.
    """
    folder = pathlib.Path(folder).expanduser()
    found = {path.name for path in folder.iterdir()}
    complete = [names for names in FILE_NAMES if found.issuperset(names)]
    if len(complete) != 1:
        expected = "; ".join(", ".join(names) for names in FILE_NAMES)
        raise InputError(
            f"{folder} must contain exactly one of these sets of files: {expected}. "
            f"Received: {', '.join(sorted(found)[:12]) or 'an empty folder'}"
        )
    return {split: read_lines(folder / name) for split, name in zip(SPLITS, complete[0])}


def read_lines(path):
    """Returns the lines of a UTF-8 file, including empty lines, without line endings.

    Raises:
        OSError: If the file cannot be read.
        InputError: If it contains no words or is not UTF-8.
    """
    content = pathlib.Path(path).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} must be encoded in UTF-8. Received: byte 0x{error.object[error.start]:02x} in "
            f"line {line}. Convert it, for example with iconv -f ISO-8859-1 -t UTF-8."
        ) from None
    if not text.strip():
        raise InputError(f"{path} must contain text. Received: a file without words.")
    # `str.splitlines` would also split at form feeds and other characters within a line.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
