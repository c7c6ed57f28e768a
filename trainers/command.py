"""What the commands that work on a finished run share: one call, one line for an error."""

import os
import pathlib
import sys
import warnings

from absl import flags, logging

from awd_keras.config import ConfigError
from awd_keras.start_up import run_command, start_tensorflow
from trainers import common


def main(function, max_arguments=0):
    """Parses the command line, calls a function, and exits with its code.

    TensorFlow is loaded, without its messages, after the flags are read: `--help` and a wrong flag
    never wait for it. So the function, not its module, imports what needs TensorFlow.

    Bad input (a `ConfigError`, `CorpusError`, `RunFolderError`, `CheckpointError` or `OSError`)
    becomes one line on standard error, `error: ...`, and exit code 1; a `NonFiniteLossError` exit
    code 3; Ctrl-C exit code 130.

    Args:
        function: takes the arguments that are no flags, reads its flags, returns None or an exit
            code.
        max_arguments: how many such arguments there may be.
    """
    run_command(lambda argv: _run(function, argv[1:], max_arguments))


def _run(function, arguments, max_arguments):
    if len(arguments) > max_arguments:
        expected = f"{max_arguments} besides flags" if max_arguments else "flags only"
        return _bad_input(f"expected {expected}. Received: {' '.join(arguments)}. See --help.")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # of libraries; what we have to say we print
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        start_tensorflow()
        from awd_keras.data import CorpusError
        from awd_keras.training import CheckpointError, NonFiniteLossError, RunFolderError
    except KeyboardInterrupt:
        return common.EXIT_INTERRUPTED

    try:
        code = function(*arguments)
        return code or 0
    except (ConfigError, CorpusError, RunFolderError, CheckpointError) as error:
        return _bad_input(error)
    except NonFiniteLossError as error:
        print(f"error: {error}", file=sys.stderr)
        return common.EXIT_NOT_FINITE
    except BrokenPipeError:
        raise  # `run_command` ends it
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _bad_input(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        return common.EXIT_INTERRUPTED


def check_writable(path):
    """Finds out before the work whether its result can be kept.

    Args:
        path: the file to be written.

    Raises:
        ConfigError: if its folder is missing or read-only, or it is a folder itself.
    """
    folder = pathlib.Path(path).absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {folder}.")
    if os.path.isdir(path):
        raise ConfigError(f"{path} cannot be written: it is a folder.")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{path} cannot be written: the folder {folder} is read-only.")


def _bad_input(error):
    print(f"error: {error}", file=sys.stderr)
    return common.EXIT_BAD_INPUT
