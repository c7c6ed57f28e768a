"""Errors that a command prints as one line, without a traceback."""


class UserError(ValueError):
    """A setting, flag or folder that the user can correct."""

    exit_code = 1


class NonFiniteLossError(UserError):
    """Training diverged: the loss or its gradient is no longer finite."""

    exit_code = 3
