"""Errors that the user of a program can correct."""


class InputError(ValueError):
    """A text, file, vocabulary or set of weights that cannot be used.

    The message is one line that says what was expected, what was received and what to do.
    """
