"""What the commands that work on a finished run share."""

import os
import pathlib

from awd_keras import command
from awd_keras.config import ConfigError
from trainers import common

_FILES_OF_A_RUN = ("config.json", "vocabulary.txt", "metrics.csv", "results.json")


def main(function, max_arguments=0):
    """`awd_keras.command.main`, for which bad input is what a run, a text or a setting may be.

    A `ConfigError`, `CorpusError`, `RunFolderError` or `CheckpointError` is exit code 1, a
    `NonFiniteLossError` 3.

    Args:
        function: takes the arguments that are no flags, reads its flags, returns None or an exit
            code.
        max_arguments: how many such arguments there may be.
    """
    command.main(function, max_arguments, _errors)


def _errors():
    from awd_keras.data import CorpusError
    from awd_keras.training import CheckpointError, NonFiniteLossError, RunFolderError

    bad_input = (ConfigError, CorpusError, RunFolderError, CheckpointError)
    return {
        **dict.fromkeys(bad_input, command.EXIT_BAD_INPUT),
        NonFiniteLossError: common.EXIT_NOT_FINITE,
    }


def check_writable(path):
    """Finds out before the work whether its result can be kept.

    Args:
        path: the file to be written.

    Raises:
        ConfigError: if its folder is missing or read-only, or it is a folder itself, or a file that
            a run is made of.
    """
    path = pathlib.Path(path)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {folder}.")
    if os.path.isdir(path):
        raise ConfigError(f"{path} cannot be written: it is a folder.")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{path} cannot be written: the folder {folder} is read-only.")
    is_run = (folder / "config.json").exists() and (folder / "checkpoints").is_dir()
    if is_run and path.name in _FILES_OF_A_RUN:
        raise ConfigError(f"{path} cannot be written: the run in {folder} needs it.")
