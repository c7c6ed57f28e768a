"""What commands share: one call, one line for an error, an exit code."""

import sys
import warnings

from absl import flags, logging

from trainers.start_up import run_command, start_tensorflow

EXIT_BAD_INPUT = 1
EXIT_INTERRUPTED = 130


def main(function, max_arguments=0, errors=dict, tensorflow=True):
    """Parses the command line, calls a function, and exits with its code.

    TensorFlow is loaded, without its messages, after the flags are read: `--help` and a wrong flag
    never wait for it. So the function, not its module, imports what needs TensorFlow.

    What is the user's to mend becomes a message on standard error, `error: ...`; Ctrl-C is exit
    code 130.

    Args:
        function: takes the arguments that are no flags, reads its flags, returns None or an exit
            code.
        max_arguments: how many such arguments there may be; None for any number.
        errors: returns a dict, from exceptions that the user can mend to exit codes, besides
            `OSError`, which is 1; called when TensorFlow is loaded.
        tensorflow: whether to load it.
    """
    run_command(lambda argv: _run(function, argv[1:], max_arguments, errors, tensorflow))


def _run(function, arguments, max_arguments, errors, tensorflow):
    if max_arguments is not None and len(arguments) > max_arguments:
        expected = f"{max_arguments} besides flags" if max_arguments else "flags only"
        return _report(f"expected {expected}. Received: {' '.join(arguments)}. See --help.")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # of libraries; what we have to say we print
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    codes = {}
    try:
        if tensorflow:
            start_tensorflow()
        codes = errors()
        return function(*arguments) or 0
    except BrokenPipeError:
        raise  # `run_command` ends it
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _report(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        code = next((code for kind, code in codes.items() if isinstance(error, kind)), None)
        if code is None:
            raise
        return _report(error, code)


def _report(error, code=EXIT_BAD_INPUT):
    print(f"error: {error}", file=sys.stderr)
    return code
