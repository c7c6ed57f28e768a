"""Reads records of runs and searches, which may have been edited or damaged."""

import contextlib
import json
import sys

from trainers.errors import UserError


@contextlib.contextmanager
def reading(what, advice):
    """Raises an error about the content of a file as a `UserError` that names the file.

    Args:
        what: The file.
        advice: A sentence that says what to do.
    """
    try:
        yield
    except Exception as error:  # a damaged file can raise nearly anything
        raise UserError(f"{what} cannot be read ({error}). {advice}") from error


def read_record(path, form, advice):
    """Reads a JSON object from a file; raises `UserError` if it is damaged or not of a form.

    Args:
        path: The file, a `pathlib.Path`.
        form: A dictionary, as for `check_form`. Optional keys that are missing become `None`.
        advice: A sentence that says what to do about an error.
    """
    with reading(path, advice):
        record = json.loads(path.read_text(encoding="utf-8"))
        check_form(record, form)
    return {**dict.fromkeys(form), **record}


def check_form(value, form, name="the content"):
    """Raises `ValueError` unless a value has a form.

    Args:
        value: A value read from JSON. NaN and integers beyond 64 bits have no form.
        form: A type; a dictionary of key to form, which may lack further keys of the value; or a
            tuple with a form, which then is optional: the value may be `None` or missing.
        name: Name of the value, for the message.

    Example:

    >>> check_form({"epochs": 3, "test": None}, {"epochs": int, "test": (dict,)})
    >>> check_form({"epochs": "3"}, {"epochs": int})
    Traceback (most recent call last):
    ...
    ValueError: epochs must be of type int. Received: '3'
    """
    if isinstance(form, tuple):
        if value is None:
            return
        (form,) = form
    kind = dict if isinstance(form, dict) else form
    is_huge = isinstance(value, int) and abs(value) > sys.maxsize
    if not isinstance(value, kind) or value != value or is_huge:
        expected = getattr(kind, "__name__", kind)
        raise ValueError(f"{name} must be of type {expected}. Received: {value!r:.80}")
    if isinstance(form, dict):
        for key, part in form.items():
            check_form(value.get(key), part, key)
