"""Command lines in this process, where TensorFlow is loaded already."""

import contextlib
import dataclasses
import importlib
import re
import sys
import warnings
from unittest import mock

from absl import flags, logging


@dataclasses.dataclass
class Ended:
    code: int
    stdout: str
    stderr: str


def run_command(capfd, module, *arguments):
    """Runs `python -m MODULE ARGUMENTS`.

    Args:
        capfd: pytest's fixture.
        module: name of the module, which has a `main`.
        *arguments: what follows it on the command line.

    Returns:
        its exit code and what it wrote.
    """
    return run_main(capfd, lambda: importlib.import_module(module).main(), *arguments, name=module)


def run_main(capfd, main, *arguments, name="made_up_command"):
    """Runs a command by its function.

    Args:
        capfd: pytest's fixture.
        main: function without arguments that parses the command line, works and exits.
        *arguments: the command line.
        name: what the command is called.

    Returns:
        its exit code and what it wrote.
    """
    capfd.readouterr()
    values = flags.FLAGS
    before, verbosity = set(values), logging.get_verbosity()
    code = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", [name, *map(str, arguments)]))
        stack.enter_context(warnings.catch_warnings())
        stack.callback(logging.set_verbosity, verbosity)
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            # The next command defines its own.
            for name in set(values) - before:
                delattr(values, name)
    return Ended(code, *capfd.readouterr())


def assert_one_line(ended, *parts):
    """Bad input: one line that says so, no traceback, nothing on standard output."""
    assert ended.code == 1, ended
    assert re.fullmatch(r"error: [^\n]+\n", ended.stderr), ended.stderr
    for part in parts:
        assert part in ended.stderr
    assert ended.stdout == ""
