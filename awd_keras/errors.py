"""Errors that a user can correct."""


class InputError(ValueError):
    """A text, file, vocabulary or set of weights cannot be used."""
