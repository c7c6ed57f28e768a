"""What the commands here share: one call, one line for an error."""

import sys
import warnings

from absl import flags, logging

from awd_keras.start_up import run_command, start_tensorflow

EXIT_BAD_INPUT = 1
EXIT_INTERRUPTED = 130


def main(function, max_arguments=0, errors=tuple, tensorflow=True):
    """Parses the command line, calls a function, and exits with its code.

    TensorFlow is loaded, without its messages, after the flags are read: `--help` and a wrong flag
    never wait for it. So the function, not its module, imports what needs TensorFlow.

    Bad input becomes one line on standard error, `error: ...`, and exit code 1; Ctrl-C exit code
    130.

    Args:
        function: takes the arguments that are no flags, reads its flags, returns None or an exit
            code.
        max_arguments: how many such arguments there may be; None for any number.
        errors: returns the exceptions that mean bad input, besides `OSError`; called when
            TensorFlow is loaded.
        tensorflow: whether to load it.
    """
    run_command(lambda argv: _run(function, argv[1:], max_arguments, errors, tensorflow))


def _run(function, arguments, max_arguments, errors, tensorflow):
    if max_arguments is not None and len(arguments) > max_arguments:
        expected = f"{max_arguments} besides flags" if max_arguments else "flags only"
        return _bad_input(f"expected {expected}. Received: {' '.join(arguments)}. See --help.")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # of libraries; what we have to say we print
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    bad_input = ()
    try:
        if tensorflow:
            start_tensorflow()
        bad_input = errors()
        code = function(*arguments)
        return code or 0
    except BrokenPipeError:
        raise  # `run_command` ends it
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _bad_input(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except bad_input as error:
        return _bad_input(error)


def _bad_input(error):
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # a server says more lines
    return EXIT_BAD_INPUT
