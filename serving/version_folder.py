"""Versions of a model, as TensorFlow Serving looks for them: `<folder>/<name>/<integer>/`.

The server reads whatever folder has an integer for a name, at any moment. So a version is written
under another name beside its place, and renamed when it is complete.
"""

import contextlib
import os
import pathlib
import re
import shutil

from trainers.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# The server reads versions as int64.
_LARGEST_VERSION = 2**63 - 1


def existing_versions(folder):
    """Versions of a model.

    Args:
        folder: the folder of the model, which may be missing.

    Returns:
        sorted list of integers.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def check_name(name):
    """Finds out whether a model may have a name.

    Args:
        name: the name.

    Raises:
        UserError: if it may not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            "The name of a model must have letters, digits, `_`, `-` and `.` only, and begin with "
            f"a letter, a digit or `_`. Received: {name!r}"
        )


@contextlib.contextmanager
def new_version(output, name, version=None):
    """Gives a folder to write a version to; it gets its place when the `with` block ends well.

    Args:
        output: folder of all models; it is made.
        name: the model's name.
        version: None for one more than the last, or an integer.

    Yields:
        `(path, place)`: the folder to write to, empty, and the folder it becomes.

    Raises:
        UserError: if the name or the number cannot be, or the version exists.
    """
    check_name(name)
    folder = pathlib.Path(output) / name
    versions = existing_versions(folder)
    if version is None:
        version = versions[-1] + 1 if versions else 1
    is_integer = isinstance(version, int) and not isinstance(version, bool)
    if not is_integer or not 1 <= version <= _LARGEST_VERSION:
        raise UserError(
            f"A version must be an integer from 1 to {_LARGEST_VERSION}. Received: {version!r}"
        )
    place = folder / str(version)
    if version in versions:
        raise UserError(
            f"{_describe(folder, version)}, and a server may be reading it. Leave the version out "
            f"to write version {versions[-1] + 1}, or choose another; nothing was changed."
        )
    beside = folder / f".{version}.{os.getpid()}.partial"
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    beside.mkdir(parents=True)
    try:
        yield beside, place
        for path in (*beside.rglob("*"), beside):
            _flush(path)
        try:
            # Fails if somebody has written the version meanwhile: a folder with files stays.
            os.rename(beside, place)
        except OSError as error:
            if not place.exists():
                raise
            raise UserError(
                f"{place} was written by somebody else meanwhile; nothing was changed."
            ) from error
        _flush(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):  # not empty
                parent.rmdir()
        raise


def _describe(folder, version):
    """Says that there is a version: a server reads 007 as 7."""
    if (folder / str(version)).exists():
        return f"{folder / str(version)} exists already"
    (found, *_) = (
        path
        for path in folder.iterdir()
        if path.name.isascii() and path.name.isdecimal() and int(path.name) == version
    )
    return f"{found} exists already, which a server reads as version {version}"


def _flush(path):
    """Has a file or folder on the disk before it is seen under its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
