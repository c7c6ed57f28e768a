"""What a person sees of a long run: lines that stay, and one that lives."""

import shutil
import sys
import time

_LIVE_SECONDS = 0.5
_PLAIN_SECONDS = 60.0


class Progress:
    """Prints lines to a stream and to a log file.

    On a terminal, the line of the epoch under way is written over in place; elsewhere it is
    printed once a minute.

    Args:
        log_file: path of the log, to which lines are added, or None.
        stream: a text stream, by default standard output.
    """

    def __init__(self, log_file=None, stream=None):
        self._stream = sys.stdout if stream is None else stream
        self._log_file = log_file
        self._is_terminal = self._stream.isatty()
        self._live_width = 0
        self._last_live = time.monotonic()

    def line(self, text=""):
        """Prints a line that stays."""
        self.close()
        print(text, file=self._stream, flush=True)
        if self._log_file is not None:
            with open(self._log_file, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    def live(self, make_text, only_on_terminal=False):
        """Shows where the epoch is, if it is time to.

        Args:
            make_text: function without arguments that returns the text.
            only_on_terminal: whether nothing is printed elsewhere, however long it takes.
        """
        if only_on_terminal and not self._is_terminal:
            return
        pause = _LIVE_SECONDS if self._is_terminal else _PLAIN_SECONDS
        if time.monotonic() - self._last_live < pause:
            return
        self._last_live = time.monotonic()
        text = make_text()
        if self._is_terminal:
            # A line that wraps could not be written over.
            text = text[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + text.ljust(self._live_width))
            self._stream.flush()
            self._live_width = len(text)
        else:
            self.line(text)

    def close(self):
        """Takes the live line away."""
        if self._live_width:
            self._stream.write("\r" + " " * self._live_width + "\r")
            self._stream.flush()
            self._live_width = 0


def duration(seconds):
    """Writes seconds as a clock does.

    Example:

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
