"""Files that are there whole or not at all."""

import contextlib
import os
import pathlib

# What the name of a file ends with for as long as it is not whole.
PARTIAL = ".partial"


@contextlib.contextmanager
def whole_file(path, mode="w", **options):
    """Opens a file that is written beside its place, and renamed when it is whole.

    Where a link leads to is replaced, not the link. What is no regular file (a pipe, /dev/null)
    is written as it is.

    Args:
        path: the file; its folder must exist.
        mode: "w" or "wb".
        **options: those of `open`.

    Yields:
        the file. After an exception what was in its place before remains.

    Raises:
        OSError: if there is no space or no permission.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "words.txt")
    >>> with whole_file(path) as file:
    ...     _ = file.write("the cat")
    ...     path.exists()
    False
    >>> path.read_text()
    'the cat'
    """
    path = pathlib.Path(path).resolve()
    if path.exists() and not path.is_file():
        with open(path, mode, **options) as file:
            yield file
        return
    beside = path.with_name(path.name + PARTIAL)
    try:
        with open(beside, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
