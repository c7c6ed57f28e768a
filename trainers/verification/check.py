"""One line of what was verified: a figure, and what it may be at most."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Check:
    """The outcome of a check.

    Args:
        name: what was checked.
        figure: what was measured, None if nothing was.
        limit: what it may be at most.
        detail: where it was measured; if nothing was, why.
        skipped: whether there was nothing to measure on this machine.

    Example:

    >>> Check("addition", 1e-16, 1e-9, "sum").result
    'ok'
    >>> Check("addition", float("nan"), 1e-9, "sum").result
    'FAILED'
    """

    name: str
    figure: float | None
    limit: float
    detail: str
    skipped: bool = False

    @property
    def passed(self):
        """Whether the figure is within the limit; a NaN is not."""
        return self.figure is not None and self.figure <= self.limit

    @property
    def failed(self):
        return not self.passed and not self.skipped

    @property
    def result(self):
        """One word."""
        if self.skipped:
            return "skipped"
        return "ok" if self.passed else "FAILED"


def measured(name, limit, measure):
    """Makes a check; an error while measuring is a failure with the error as its detail.

    Args:
        name: what is checked.
        limit: what the figure may be at most.
        measure: function without arguments that returns `(figure, detail)`.

    Returns:
        a `Check`.

    Raises:
        OSError: as `measure` does: a full disk says nothing about what is checked.

    Example:

    >>> measured("division", 0.0, lambda: (1 / 0, "")).detail
    'ZeroDivisionError: division by zero'
    """
    try:
        figure, detail = measure()
    except OSError:
        raise
    except Exception as error:  # whatever a device cannot do, the other checks can be made
        return Check(name, None, limit, f"{type(error).__name__}: {_gist(error)}")
    return Check(name, figure, limit, detail)


def _gist(error):
    """The line of an error's message that says what is wrong.

    TensorFlow says first where an operation was made, and last, in brackets, what it is called.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("[[")]
    return lines[-1] if lines else "no message"
