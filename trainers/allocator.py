"""Memory that is freed stays with the process."""

import ctypes
import os
import sys

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory():
    """Keeps glibc from handing freed memory back to the system between two steps.

    A training step makes and frees hundreds of megabytes. By default each large block is mapped
    anew, and the system fills it with zeros, page by page, while the step waits. Call it once,
    before the work. Elsewhere than on Linux with glibc it does nothing, nor where the user has set
    `MALLOC_ARENA_MAX`, `MALLOC_MMAP_MAX_` or `MALLOC_TRIM_THRESHOLD_`.

    Returns:
        whether the setting was made (bool).
    """
    variables = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")
    if not sys.platform.startswith("linux") or any(name in os.environ for name in variables):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1))
    return all([mallopt(parameter, value) == 1 for parameter, value in settings])
