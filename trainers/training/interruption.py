"""Handles Ctrl-C as a request instead of an exception in the middle of a step."""

import signal
import threading


class Interruption:
    """A context in which the first SIGINT or SIGTERM sets `requested`; the second acts at once.

    It has no effect outside the main thread.

    Example:

    >>> with Interruption() as interruption:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interruption.requested
    True
    """

    def __init__(self):
        self.requested = False
        self._handlers = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _request(self, number, frame):
        self.requested = True
        self.__exit__()
