"""A table with a row for each word of a text, written as the words come."""

import numpy as np

from awd_keras.atomic_write import atomic_write

COLUMNS = ("word", "log_probability", "rank")


class TokenTable:
    r"""Writes words, their log-probabilities and ranks, separated by tabs, below a row of names.

    The file is written beside its place and renamed at the end of the `with` block; after an
    exception the one before remains.

    Args:
        path: the file.
        vocabulary: `Vocabulary` of the words.

    Example:

    >>> import pathlib, tempfile
    >>> from awd_keras.data import Vocabulary
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "words.tsv")
    >>> with TokenTable(path, Vocabulary(["<eos>", "cat"])) as table:
    ...     table.add(np.array([1, 0]), np.array([-0.5, -2.0]), np.array([1, 2]))
    >>> path.read_text().split("\n")
    ['word\tlog_probability\trank', 'cat\t-0.500000\t1', '<eos>\t-2.000000\t2', '']
    >>> folder.cleanup()
    """

    def __init__(self, path, vocabulary):
        self._path = path
        self._words = vocabulary.words

    def __enter__(self):
        self._whole = atomic_write(self._path, encoding="utf-8", newline="\n")
        self._file = self._whole.__enter__()
        self._file.write("\t".join(COLUMNS) + "\n")
        return self

    def add(self, targets, log_probabilities, ranks):
        """Adds rows, in the order of the arrays' elements.

        Args:
            targets: int array: the words.
            log_probabilities, ranks: arrays of the same shape.
        """
        columns = (np.ravel(array).tolist() for array in (targets, log_probabilities, ranks))
        self._file.writelines(
            f"{self._words[target]}\t{log_probability:.6f}\t{rank}\n"
            for target, log_probability, rank in zip(*columns, strict=True)
        )

    def __exit__(self, kind, error, traceback):
        return self._whole.__exit__(kind, error, traceback)
