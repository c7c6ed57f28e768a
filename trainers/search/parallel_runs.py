"""Runs of the training commands in separate processes, several at a time."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading

from trainers.errors import NonFiniteLossError, UserError


def parallel_runs(jobs, num_processes, on_end):
    """Runs jobs, each a sequence of commands that ends at the first failure.

    On an interruption, or if a command fails for a reason other than divergence, the processes are
    interrupted and save their runs before the error is raised.

    Args:
        jobs: A dictionary of name to a list of commands, such as `["trainers.ptb", "--epochs=1"]`.
        num_processes: Maximum number of processes at a time.
        on_end: A function of `(name, diverged)` that is called after each job.
    """
    processes, stopping = set(), threading.Event()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = {"TF_NUM_INTRAOP_THREADS": str(max(1, cores // num_processes))}

    def run(commands):
        for command in commands:
            if stopping.is_set():
                break
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**threads, **os.environ},
                text=True,
                start_new_session=True,  # only this process receives Ctrl-C, and passes it on
            )
            processes.add(process)
            if stopping.is_set():  # since the check above
                process.send_signal(signal.SIGINT)
            errors = process.communicate()[1]
            processes.remove(process)
            if process.returncode:
                return process.returncode, errors
        return 0, ""

    with concurrent.futures.ThreadPoolExecutor(num_processes) as executor:
        futures = {executor.submit(run, commands): name for name, commands in jobs.items()}
        try:
            for future in concurrent.futures.as_completed(futures):
                code, errors = future.result()
                if code not in (0, NonFiniteLossError.exit_code):
                    last = (errors.strip().splitlines() or [f"exit code {code}"])[-1]
                    raise UserError(f"{futures[future]} failed: {last.removeprefix('error: ')}")
                on_end(futures[future], code != 0)
        except BaseException:
            stopping.set()
            executor.shutdown(wait=False, cancel_futures=True)
            for process in tuple(processes):
                process.send_signal(signal.SIGINT)
            raise
