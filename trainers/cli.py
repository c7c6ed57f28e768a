"""The entry point of all commands: flags, help, TensorFlow's startup, errors and exit codes."""

import contextlib
import functools
import glob
import importlib
import os
import shutil
import signal
import sys
import tempfile
import textwrap
import warnings

from absl import app, flags, logging

from trainers.errors import UserError

EXIT_BAD_INPUT = 1
EXIT_INTERRUPTED = 130

_FLAGS = flags.FLAGS
_HELP_ARGUMENTS = {"--help", "-help", "--helpshort", "-helpshort", "-?"}
_sections = {}  # names of flags by section of --help


@contextlib.contextmanager
def section(name):
    """Lists the flags defined inside under a heading of `--help`."""
    known = set(_FLAGS)
    yield
    _sections.setdefault(name, []).extend(flag for flag in _FLAGS if flag not in known)


def main(implementation, doc, max_arguments=0, check=None):
    """Parses the command line, runs a command and exits with its code.

    TensorFlow is imported only after the flags are parsed and checked, so `--help` and errors are
    fast. An `InputError` or `OSError` (exit code 1) or a `UserError` (its own exit code) is printed
    as one line on standard error. Ctrl-C and SIGTERM end a command with exit code 130.

    Args:
        implementation: Name of the module that does the work. Its `main(*arguments)` reads the
            flags and returns `None` or an exit code.
        doc: The text above the flags in `--help`.
        max_arguments: Maximum number of positional arguments, or `None` for no limit.
        check: A function that raises `UserError` for invalid flags. Defaults to none.
    """
    app.run(
        functools.partial(_run, implementation, max_arguments, check),
        flags_parser=functools.partial(_parse, doc),
    )


def _parse(doc, argv):
    try:
        if _HELP_ARGUMENTS & set(argv[1:]):
            print(_help(doc))
            sys.exit(1)  # as absl does
        return _FLAGS(argv)
    except flags.Error as error:
        message = str(error).removeprefix("ERROR:: ").rstrip(" .?")  # in absl's words
        sys.exit(_fail(f"{message}. See --help."))
    finally:
        _sections.clear()


def _help(doc):
    in_sections = {name for names in _sections.values() for name in names}
    own = [
        flag.name
        for module, defined in _FLAGS.flags_by_module_dict().items()
        if not module.startswith("absl.")
        for flag in defined
        if flag.name in _FLAGS and flag.name not in in_sections
    ]
    lines = [doc.strip()]
    for heading, names in {"Flags": own, **_sections}.items():
        if names:
            lines += ["", f"{heading}:", *(_describe(_FLAGS[name]) for name in names)]
    lines += ["", "--flagfile=FILE reads flags from a file. --helpfull lists absl's own flags too."]
    return "\n".join(lines)


def _describe(flag):
    default = f" (default: {flag.default_as_str})" if flag.default is not None else ""
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
    return textwrap.fill(
        f"{name}: {flag.help}{default}",
        width=100,
        initial_indent="  ",
        subsequent_indent="      ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _run(implementation, max_arguments, check, argv):
    arguments = argv[1:]
    if max_arguments is not None and len(arguments) > max_arguments:
        expected = f"at most {max_arguments} arguments" if max_arguments else "only flags"
        return _fail(f"Expected {expected}. Received: {' '.join(arguments)}. See --help.")
    if not _FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # silence library logging
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
        if check is not None:
            check()
        return _import(implementation).main(*arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except UserError as error:
        return _fail(error, error.exit_code)
    except ModuleNotFoundError as error:
        if not implementation.startswith("serving."):
            raise
        return _fail(f"{error}. Install it with pip install 'awd-keras[serving]'.")
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}")
    except ValueError as error:
        library = sys.modules.get("awd_keras.errors")
        if library is None or not isinstance(error, library.InputError):
            raise
        return _fail(error)


def _fail(error, code=EXIT_BAD_INPUT):
    print(f"error: {error}", file=sys.stderr)
    return code


def _import(implementation):
    """Imports the module of a command, and TensorFlow with it, quietly if all goes well."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with hold_stderr() as release:
        module = importlib.import_module(implementation)
        config, is_gpu_unusable = getattr(sys.modules.get("tensorflow"), "config", None), False
        if config is not None:
            is_gpu_unusable = has_nvidia_gpu() and not config.list_physical_devices("GPU")
            if "TF_CONFIG" not in os.environ:  # a multi-worker strategy must come first
                config.list_logical_devices()
        if is_gpu_unusable:
            release()
    if is_gpu_unusable:
        warnings.warn(
            "TensorFlow cannot use the NVIDIA GPU of this machine, so everything runs on the CPU. "
            "See the messages above, and check the driver and the CUDA libraries (pip install "
            "'tensorflow[and-cuda]'). CUDA_VISIBLE_DEVICES=-1 silences this warning.",
            stacklevel=1,
        )
    return module


def has_nvidia_gpu():
    """Returns whether this machine has an NVIDIA GPU that is not hidden from CUDA."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return bool(glob.glob("/dev/nvidia[0-9]*")) or shutil.which("nvidia-smi") is not None


@contextlib.contextmanager
def hold_stderr():
    """Holds back standard error, to which TensorFlow logs before it reads its log level.

    Yields a function that releases it at the end of the block. Exceptions release it too.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    shown = []
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield lambda: shown.append(True)
        except Exception as error:
            shown.append(not isinstance(error, (UserError, ModuleNotFoundError)))
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            if any(shown):
                held.seek(0)
                os.write(2, held.read())
            os.close(terminal)
