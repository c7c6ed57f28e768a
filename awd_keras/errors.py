"""The error of input that cannot be used."""


class InputError(ValueError):
    """A text, file or vocabulary that cannot be used.

    The message says what was expected, what was received and what to do; commands print it as one
    line.
    """
