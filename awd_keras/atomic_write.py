"""Atomic writes: files and folders appear complete or not at all."""

import contextlib
import errno
import os
import pathlib
import shutil
import uuid

# Suffix of temporary names. A killed process may leave such a file behind.
PARTIAL = ".partial"


@contextlib.contextmanager
def atomic_write(path, mode="w", **options):
    """Opens a temporary file that replaces `path` when the block ends.

    The temporary file is in the same folder and has a unique name, so several processes may write
    to the same path: the last one to finish wins. Symbolic links are followed.

    Args:
        path: The file to write. Its folder must exist.
        mode: `"w"` or `"wb"`. Defaults to `"w"`.
        **options: Passed to `open`.

    Yields:
        The open file. If the block raises an exception, `path` is left unchanged.

    Raises:
        OSError: If the file cannot be written, or `path` exists and is not a regular file.

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
    path = pathlib.Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        # Renaming would replace a device such as /dev/null.
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    temporary = _temporary(path)
    try:
        with open(temporary, mode.replace("w", "x"), **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # which the caller knows
        raise
    finally:
        with contextlib.suppress(OSError):  # the folder has already raised one
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path):
    """Creates a temporary folder that is renamed to `path` when the block ends.

    Args:
        path: The folder to create. It must be empty if it exists. Its parents are created.

    Yields:
        The temporary folder, a `pathlib.Path`. If the block raises an exception, `path` is left
        unchanged.

    Raises:
        OSError: If the folder cannot be written, or `path` is not empty.
    """
    path = pathlib.Path(os.path.realpath(path))
    if path.exists() and any(path.iterdir()):
        raise OSError(errno.ENOTEMPTY, "The folder is not empty", str(path))
    temporary = _temporary(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path):
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")
