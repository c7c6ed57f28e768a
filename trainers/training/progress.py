"""The lines a user sees during a run: permanent ones, and one that is updated in place."""

import shutil
import sys
import time

_TERMINAL_SECONDS = 0.5
_PLAIN_SECONDS = 60.0


class Progress:
    """Prints lines to a stream and to a log file.

    On a terminal the live line is overwritten in place; elsewhere it is printed once a minute.

    Args:
        log_file: Path of the log that lines are appended to. Defaults to none.
        stream: A text stream. Defaults to standard output.
    """

    def __init__(self, log_file=None, stream=None):
        self._stream = sys.stdout if stream is None else stream
        self._log_file = log_file
        self._is_terminal = self._stream.isatty()
        self._live_width = 0
        self._last_live = time.monotonic()

    def line(self, text=""):
        """Prints a permanent line."""
        self.close()
        print(text, file=self._stream, flush=True)
        if self._log_file is not None:
            with open(self._log_file, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    def live(self, make_text, only_on_terminal=False):
        """Updates the live line by a function that returns it, unless it is too early."""
        pause = _TERMINAL_SECONDS if self._is_terminal else _PLAIN_SECONDS
        is_hidden = only_on_terminal and not self._is_terminal
        if is_hidden or time.monotonic() - self._last_live < pause:
            return
        self._last_live = time.monotonic()
        if not self._is_terminal:
            self.line(make_text())
            return
        # A wrapped line could not be overwritten.
        text = make_text()[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + text.ljust(self._live_width))
        self._stream.flush()
        self._live_width = len(text)

    def close(self):
        """Erases the live line."""
        if self._live_width:
            self._stream.write("\r" + " " * self._live_width + "\r")
            self._stream.flush()
            self._live_width = 0


def duration(seconds):
    """Formats seconds as a clock does.

    Example:

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
