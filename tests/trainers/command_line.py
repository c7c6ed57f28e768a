"""Command lines, each in a process of its own that need not import TensorFlow again.

A server process imports what the commands import, without starting TensorFlow, and forks.
"""

import dataclasses
import json
import os
import pathlib
import re
import resource
import runpy
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).absolute().parents[2]


@dataclasses.dataclass
class Ended:
    code: int
    stdout: str
    stderr: str


class CommandLine:
    """Runs `python -m MODULE ARGUMENTS`, as if from the repository's root."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._count = 0
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.trainers.command_line"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self):
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()

    def start(self, module, *arguments, file_size=None):
        """Starts a command; `file_size` is the most bytes it can write to a file."""
        self._count += 1
        streams = [str(self._folder / f"{self._count}.{name}") for name in ("out", "err")]
        request = [module, arguments, streams, file_size]
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline()), streams

    def finish(self, started):
        """Waits for a command that was started."""
        code = int(self._server.stdout.readline())
        stdout, stderr = (pathlib.Path(stream).read_text() for stream in started[1])
        # What TensorFlow logs when it starts in a fork; a process of its own says nothing.
        return Ended(code, stdout, re.sub(r"^[IWE]\d{4} .*\n", "", stderr, flags=re.MULTILINE))

    def __call__(self, module, *arguments, file_size=None):
        return self.finish(self.start(module, *arguments, file_size=file_size))

    def interrupt_when(self, started, condition):
        """Sends Ctrl-C to a command as soon as a condition holds."""
        deadline = time.monotonic() + 600
        try:
            while not condition():
                os.kill(started[0], 0 if time.monotonic() < deadline else signal.SIGKILL)
                time.sleep(0.01)
            os.kill(started[0], signal.SIGINT)
        except ProcessLookupError:  # it has ended by itself
            pass
        return self.finish(started)


def _child(module, arguments, streams, file_size):
    for number, stream in zip((1, 2), streams):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve():
    import trainers.training  # noqa: F401
    import trainers.training.factory  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(*request)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
