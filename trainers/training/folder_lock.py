"""One process at a time in a folder."""

import contextlib
import errno
import os
import pathlib

from trainers.errors import UserError


@contextlib.contextmanager
def folder_lock(path, wait=False):
    """Holds a folder for this process, and for those that inherit the lock, while it is open.

    The lock is on the folder itself, not on a file in it, and goes with the processes that hold it,
    however they end. Where the system has no such locks (Windows, some network file systems),
    nothing is held.

    Args:
        path: the folder; it is made.
        wait: whether to wait until nobody else holds it.

    Yields:
        the file descriptor of the lock, for processes that are to hold it too; None without one.

    Raises:
        UserError: if another process holds it and `wait` is False.

    Example:

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with folder_lock(folder), folder_lock(folder):
    ...     pass
    Traceback (most recent call last):
    ...
    trainers.training.run_folder.UserError: Another process works in ...
    """
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield None
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise UserError(
                f"Another process works in {path}, or has not ended yet. Wait for it, or "
                "choose another folder."
            ) from None
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.ENOTSUP):
                raise
        yield descriptor
    finally:
        os.close(descriptor)
