"""Runs command lines in this process, where TensorFlow is already loaded."""

import contextlib
import dataclasses
import importlib
import re
import signal
import sys
import warnings
from unittest import mock

from absl import flags, logging


@dataclasses.dataclass
class Ended:
    """How a command ended: its exit code and its output."""

    code: int
    stdout: str
    stderr: str


def run_command(capfd, module, *arguments):
    """Runs `python -m MODULE ARGUMENTS`.

    Args:
        capfd: pytest's fixture.
        module: Name of a module with a `main`.
        *arguments: The command line.

    Returns:
        An `Ended`.
    """
    return run_main(capfd, importlib.import_module(module).main, *arguments, name=module)


def run_main(capfd, main, *arguments, name="command"):
    """Runs a command by its function, which parses the command line and exits.

    Args:
        capfd: pytest's fixture.
        main: The function.
        *arguments: The command line.
        name: Name of the command.

    Returns:
        An `Ended`.
    """
    capfd.readouterr()
    values = flags.FLAGS
    known, verbosity = set(values), logging.get_verbosity()
    code = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", [name, *map(str, arguments)]))
        stack.enter_context(warnings.catch_warnings())
        stack.callback(logging.set_verbosity, verbosity)
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            for flag in set(values) - known:  # the next command defines its own
                delattr(values, flag)
    return Ended(code, *capfd.readouterr())


def assert_one_line(ended, *parts):
    """Asserts that bad input was reported in one line, without a traceback or other output."""
    assert ended.code == 1, ended
    assert re.fullmatch(r"error: [^\n]+\n", ended.stderr), ended.stderr
    for part in parts:
        assert part in ended.stderr
    assert ended.stdout == ""
