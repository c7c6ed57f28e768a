"""Files that are there whole or not at all."""

import contextlib
import os
import pathlib

# What the name of a file ends with for as long as it is not whole.
PARTIAL = ".partial"
# What begins so is a file that a process has open.
_OPEN_ALREADY = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


@contextlib.contextmanager
def atomic_write(path, mode="w", **options):
    """Opens a file that is written beside its place, and renamed when it is whole.

    Where a link leads to is replaced, not the link. What is no regular file (a pipe, /dev/null),
    and what is open already (/dev/stdout), is written to as it is. One writer at a time: two
    would write into one file.

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
    >>> with atomic_write(path) as file:
    ...     _ = file.write("the cat")
    ...     path.exists()
    False
    >>> path.read_text()
    'the cat'
    """
    if is_special(path):
        # Appending, since standard output may have been redirected to a file that has more in it.
        with open(path, mode.replace("w", "a"), **options) as file:
            yield file
        return
    path = pathlib.Path(os.path.realpath(path))
    beside = path.with_name(path.name + PARTIAL)
    try:
        with open(beside, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def is_special(path):
    """Whether a path leads to something that is there and cannot be replaced, such as a pipe.

    Example:

    >>> is_special(os.devnull), is_special("nowhere.txt")
    (True, False)
    """
    # By the name as it is given: what /dev/fd/1 is linked to may have none.
    is_open = os.path.abspath(path).startswith(_OPEN_ALREADY)
    return os.path.exists(path) and (is_open or not os.path.isfile(path))
