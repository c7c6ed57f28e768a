"""The entry point of all commands: flags, help, TensorFlow's startup, errors and exit codes."""

import contextlib
import functools
import glob
import importlib
import io
import os
import re
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
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_TENSORFLOW_DETAILS = re.compile(r"\{\{.*?\}\} | on /job:.*")
_NOT_PATHS = {"server", "prompt"}  # flags for addresses and texts
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
    as one line on standard error, as are lack of memory and a closed standard output. Ctrl-C and
    SIGTERM end a command with exit code 130 (`serving.local`: 0).

    Args:
        implementation: Name of the module that does the work. Its `main(*arguments)` reads the
            flags and returns `None` or an exit code.
        doc: The text above the flags in `--help`.
        max_arguments: Maximum number of positional arguments, or `None` for no limit.
        check: A function that raises `UserError` for invalid flags. Defaults to none.
    """
    if sys.stdout is None:  # closed, as by >&- in a shell
        sys.exit(_fail("Standard output is closed. Redirect it, for example to /dev/null."))
    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w", closefd=False)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput()))
    try:
        app.run(
            functools.partial(_run, implementation, max_arguments, check),
            flags_parser=functools.partial(_parse, doc),
        )
    except OSError as error:  # while writing help
        sys.exit(_fail(error.strerror))
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # the reader of a pipe is gone, and Python would complain at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _ClosedInput(io.RawIOBase):
    """A standard input that was closed, for the commands that read it."""

    def readable(self):
        return True

    def readinto(self, buffer):
        raise UserError("Standard input is closed. Pass a file, or redirect it from one.")


def _parse(doc, argv):
    try:
        if _HELP_ARGUMENTS & set(argv[1:]):
            print(_help(doc), flush=True)
            sys.exit(1)  # as absl does
        return _FLAGS(argv)
    except (flags.Error, ValueError) as error:
        message = str(error).removeprefix("ERROR:: ").rstrip(" .?")  # in absl's words
        if isinstance(error, UnicodeError):
            message = f"--flagfile must be a text file: {message}"
        sys.exit(_fail(f"{message}. See --help."))
    finally:
        _sections.clear()


def _own_flags():
    """Returns the flags that absl does not define."""
    by_module = _FLAGS.flags_by_module_dict().items()
    own = [flag for name, flags_ in by_module if not name.startswith("absl.") for flag in flags_]
    return [flag for flag in own if flag.name in _FLAGS]


def _help(doc):
    in_sections = {name for names in _sections.values() for name in names}
    own = [flag.name for flag in _own_flags() if flag.name not in in_sections]
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


def _check_flags():
    """Raises `UserError` for empty texts, URLs and huge integers; expands `~`."""
    for flag in _own_flags():
        if isinstance(flag.value, int) and abs(flag.value) >= 2**63:
            raise UserError(f"--{flag.name} must be below 2**63. Received: {flag.value}")
        if flag.name in _NOT_PATHS:
            continue
        if isinstance(flag.value, str):
            flag.value = _local_path(f"--{flag.name}", flag.value)
        elif isinstance(flag.value, list):
            flag.value = [_local_path(f"--{flag.name}", value) for value in flag.value]


def _local_path(name, value):
    """Returns a path with `~` expanded; raises `UserError` if it is empty, a URL or not UTF-8."""
    if not value:  # as from an unset variable in a shell
        raise UserError(f"{name} must not be empty.")
    if _URL.match(value):
        raise UserError(
            f"{name} must be a path on this machine. Received: {value}. Mount the storage, for "
            "example a bucket with gcsfuse, and pass its path."
        )
    if value != value.encode(errors="ignore").decode():
        raise UserError(f"{name} must be valid UTF-8. Received: {value!a}")
    path = os.path.expanduser(value)
    if path.startswith("~"):
        raise UserError(f"{name}: there is no home folder for {value}.")
    return path


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
        _check_flags()
        if max_arguments is not None:  # else they are texts
            arguments = [_local_path("The file", argument) for argument in arguments]
        if check is not None:
            check()
        code = _import(implementation).main(*arguments)
        sys.stdout.flush()
        return code
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
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}  # they may not be imported
        if "InputError" in kinds:
            return _fail(error)
        if kinds & {"MemoryError", "ResourceExhaustedError"}:
            first = _TENSORFLOW_DETAILS.sub("", str(error).partition("\n")[0])
            return _fail(f"Not enough memory. Choose smaller sizes, such as --batch_size. {first}")
        raise


def _fail(error, code=EXIT_BAD_INPUT):
    print("error:", *str(error).splitlines(), file=sys.stderr)
    return code


def _import(implementation):
    """Imports the module of a command, and TensorFlow with it, quietly if all goes well."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # TensorFlow's default is off on CPUs without AVX-512, where oneDNN is faster too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
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
