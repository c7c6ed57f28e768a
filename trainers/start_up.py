"""How the commands load TensorFlow, and end where nobody reads what they print."""

import os
import sys
import tempfile

from absl import app

from trainers.allocator import keep_freed_memory
from trainers.errors import UserError

# What a shell reports of a program whose reader went away (`| head`).
EXIT_BROKEN_PIPE = 141


def run_command(main):
    """`absl.app.run`, which ends without a word where the reader of its output, or help, went away.

    Args:
        main: takes the arguments of the command line, returns None or an exit code.
    """
    try:
        app.run(main)
    except SystemExit as end:
        code = end.code
    except BrokenPipeError:
        code = EXIT_BROKEN_PIPE
    sys.exit(written_out(code))


def written_out(code):
    """Writes out what was printed, and says what a command ends with.

    Args:
        code: the exit code so far.

    Returns:
        the same, or, where it was 0 or None and not all could be written, `EXIT_BROKEN_PIPE` or 1.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as where the descriptor was closed
                stream.flush()
        except OSError as error:
            # Let the interpreter's own flush at exit go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if isinstance(error, BrokenPipeError):
                code = code or EXIT_BROKEN_PIPE
            elif not code:
                print(f"error: {error.strerror or error}", file=sys.stderr)
                code = 1
    return code


def start_tensorflow(first=None):
    """Imports TensorFlow without its start-up messages, which say nothing to a user.

    Some come from C++ before any setting is read, so the stream itself is held back; if the
    import fails, what it held is shown. The process keeps the memory that a step frees.

    Args:
        first: None, or a function without arguments that must run before TensorFlow looks at its
            devices; its messages are held back too.

    Returns:
        what `first` returned.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever else the user has Keras run on
    keep_freed_memory()
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            result = first() if first is not None else None
            tf.config.list_logical_devices()
        except (UserError, KeyboardInterrupt):
            raise  # what the user gave to `first`, or did: the messages say nothing about it
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
    return result
