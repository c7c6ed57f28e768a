"""What the commands that work on a finished run share."""

import os
import pathlib

from awd_keras.errors import InputError
from trainers import old_cli as command
from trainers import common
from trainers.errors import NonFiniteLossError, UserError

_PARTS_OF_A_RUN = (
    "config.json",
    "vocabulary.txt",
    "metrics.csv",
    "results.json",
    "log.txt",
    "checkpoints",
    "events",
)


def main(function, max_arguments=0):
    """`trainers.cli.main`, for which bad input is what a run, a text or a setting may be.

    A `UserError`, `InputError`, `UserError` or `UserError` is exit code 1, a
    `NonFiniteLossError` 3.

    Args:
        function: takes the arguments that are no flags, reads its flags, returns None or an exit
            code.
        max_arguments: how many such arguments there may be.
    """
    command.main(function, max_arguments, _errors)


def _errors():

    bad_input = (UserError, InputError, UserError, UserError)
    return {
        **dict.fromkeys(bad_input, command.EXIT_BAD_INPUT),
        NonFiniteLossError: common.EXIT_NOT_FINITE,
    }


def check_writable(path):
    """Finds out before the work whether its result can be kept.

    Args:
        path: the file to be written.

    Raises:
        UserError: if its folder is missing or read-only, or it is a folder itself, or a file that
            a run is made of.
    """
    if os.path.isdir(path):
        raise UserError(f"{path} cannot be written: it is a folder.")
    # A link is followed, as `atomic_write` follows it.
    target = pathlib.Path(os.path.realpath(path))
    folder = target.parent
    if not folder.is_dir():
        raise UserError(f"{path} cannot be written: there is no folder {folder}.")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{path} cannot be written: the folder {folder} is read-only.")
    for run in target.parents:
        is_run = (run / "config.json").exists() and (run / "checkpoints").is_dir()
        if is_run and target.relative_to(run).parts[0] in _PARTS_OF_A_RUN:
            raise UserError(f"{path} cannot be written: the run in {run} needs it.")
