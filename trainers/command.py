"""What the commands that work on a finished run share."""

import os
import pathlib

from awd_keras import command
from awd_keras.config import ConfigError
from awd_keras.whole_file import is_special
from trainers import common

_PARTS_OF_A_RUN = ("config.json", "vocabulary.txt", "metrics.csv", "results.json", "log.txt",
                   "checkpoints", "events")  # fmt: skip


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
    if os.path.isdir(path):
        raise ConfigError(f"{path} cannot be written: it is a folder.")
    if is_special(path):
        if not os.access(path, os.W_OK):
            raise ConfigError(f"{path} cannot be written: permission denied.")
        return
    # A link is followed, as `whole_file` follows it.
    target = pathlib.Path(os.path.realpath(path))
    folder = target.parent
    if not folder.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {folder}.")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{path} cannot be written: the folder {folder} is read-only.")
    for run in target.parents:
        is_run = (run / "config.json").exists() and (run / "checkpoints").is_dir()
        if is_run and target.relative_to(run).parts[0] in _PARTS_OF_A_RUN:
            raise ConfigError(f"{path} cannot be written: the run in {run} needs it.")
