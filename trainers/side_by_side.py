"""Runs of training in processes of their own, several at a time."""

import contextlib
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from trainers import common
from trainers.config import TrainingConfig
from trainers.errors import UserError

_WORKER = "from trainers.side_by_side import work; work()"
_POLL_SECONDS = 0.2
# How often it is said where each run is, and how much of the end of a log is read for that.
_REPORT_SECONDS = 60.0
_TAIL_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Job:
    """Trainings that come one after the other.

    Args:
        name: what to call it.
        stages: a tuple of (`TrainingConfig`, run folder).
    """

    name: str
    stages: tuple


class JobError(RuntimeError):
    """A job that ended in another way than a run does."""


def run_in_this_process(jobs, on_end):
    """Runs jobs one after the other, here.

    Args:
        jobs: `Job` objects.
        on_end: function of (job, exit code), called after each.

    Returns:
        True, or False after an interruption.

    Raises:
        JobError: if a job failed, with its message.
    """
    import keras

    for job in jobs:
        print(f"--- {job.name}")
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            code = _run_stages(job.stages)
        if code == common.EXIT_BAD_INPUT:
            raise JobError(f"{job.name} failed: {_last_line(errors.getvalue())}")
        sys.stderr.write(errors.getvalue())
        # Graphs and weights of this job are of no use to the next.
        keras.backend.clear_session()
        if code == common.EXIT_INTERRUPTED:
            return False
        on_end(job, code)
    return True


def run_side_by_side(jobs, num_processes, on_end, keep_open=()):
    """Runs jobs in processes of their own.

    A process ends with this one, however that ends, and saves before: the same jobs go on. Once a
    minute the last line of the log of each is printed.

    Args:
        jobs: `Job` objects.
        num_processes: how many run at a time.
        on_end: function of (job, exit code), called after each.
        keep_open: file descriptors that the processes hold too, such as that of a lock.

    Returns:
        True, or False after an interruption.

    Raises:
        JobError: if a job failed, with its message; the others were saved.
    """
    waiting, running = list(jobs), []
    environment = process_environment(min(num_processes, max(1, len(waiting))))
    reported = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < num_processes:
                running.append(_Process(waiting.pop(0), environment, keep_open))
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - reported >= _REPORT_SECONDS:
                reported = time.monotonic()
                for process in running:
                    print(f"{process.job.name}: {last_line_of_log(process.job)}", flush=True)
            for process in [process for process in running if process.code is not None]:
                running.remove(process)
                if process.code not in (0, common.EXIT_NOT_FINITE):
                    raise JobError(f"{process.job.name} failed: {process.error()}")
                on_end(process.job, process.code)
    except KeyboardInterrupt:
        print("interrupted: the runs save what they have (Ctrl-C again to leave at once) ...")
        return False
    finally:
        _end(running)
    return True


def last_line_of_log(job):
    """Where a job is, in the words of the run under way.

    Args:
        job: `Job`.

    Returns:
        a string.
    """
    for _, workdir in reversed(job.stages):
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(workdir, "log.txt"), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
            if lines:
                return lines[-1].strip()
    return "begins"


def process_environment(num_processes):
    """The environment of each of several processes, which share the cores.

    Two processes of a small model with a thread each train 1.7 times as fast as one with two. What
    the user has set stays.

    Args:
        num_processes: how many run at a time.

    Returns:
        a dictionary.
    """
    # Elsewhere than on Linux a process has no cores of its own.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    threads = str(max(1, cores // num_processes))
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {"TF_NUM_INTRAOP_THREADS": threads, **os.environ, "PYTHONPATH": path}


class _Process:
    def __init__(self, job, environment, keep_open):
        self.job = job
        self._errors = tempfile.TemporaryFile()
        # A session of its own: Ctrl-C comes to us, and through the pipe to the process, once.
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env=environment,
            pass_fds=keep_open,
            start_new_session=True,
        )
        stages = [(config.to_dict(), workdir) for config, workdir in job.stages]
        with contextlib.suppress(BrokenPipeError):  # it has ended: its code says how
            self.process.stdin.write(json.dumps(stages).encode() + b"\n")
            self.process.stdin.flush()

    @property
    def code(self):
        return self.process.poll()

    def error(self):
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace")
        return _last_line(text) or f"exit code {self.code}"


def _last_line(text):
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else ""


def _end(running):
    """Lets processes save, or kills them at a second Ctrl-C."""
    with contextlib.suppress(BrokenPipeError):
        for process in running:
            process.process.stdin.close()
    try:
        for process in running:
            process.process.wait()
    except KeyboardInterrupt:
        for process in running:
            process.process.kill()
            process.process.wait()


def work():
    """What such a process does: it trains, and when its standard input ends it saves and ends."""
    stages = json.loads(sys.stdin.readline())
    threading.Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    try:
        code = _run_stages(
            (TrainingConfig.from_dict(settings), workdir) for settings, workdir in stages
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = common.EXIT_BAD_INPUT
    except KeyboardInterrupt:
        code = common.EXIT_INTERRUPTED
    sys.stderr.flush()
    os._exit(code)


def _interrupt_at_end_of_input():
    while sys.stdin.buffer.raw.read(1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _run_stages(stages):
    for config, workdir in stages:
        code = common.train(config, workdir, may_resume=True)
        if code:
            return code
    return 0
