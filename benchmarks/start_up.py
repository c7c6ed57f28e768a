"""How long one waits: for `--help`, for the imported library and model, for the first step.

Each is measured in fresh processes, one after the other. The first step is traced: TensorFlow makes
its graph and chooses its kernels; the second shows what is left without that.
"""

import statistics
import subprocess
import sys
import time

from benchmarks.report import markdown
from benchmarks.worker import ROOT, Worker

HELP = "python -m trainers.ptb --help"
MODEL = "import, and model with its weights"
FIRST, SECOND = "first step, traced", "second step"


def help_seconds():
    """Wall seconds of one `--help`."""
    start = time.perf_counter()
    command = [sys.executable, *HELP.split()[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if "--preset" not in done.stdout:  # the exit code of absl's help is 1
        raise RuntimeError((done.stderr.strip().splitlines() or ["--help printed nothing"])[-1])
    return seconds


def first_steps(workload):
    """Wall seconds of a fresh process up to its second training step, by part."""
    start = time.perf_counter()
    worker = Worker("awd_keras", workload)
    try:
        seconds = {MODEL: time.perf_counter() - start}
        for name in (FIRST, SECOND):
            seconds[name] = worker.ask("train_step", repeat=1)["seconds"]
    finally:
        worker.close()
    return seconds


def measure(workloads, rounds):
    """Starts fresh processes, in turn.

    Args:
        workloads: list of `Workload`: one for each dtype.
        rounds: processes of each kind.

    Returns:
        list of dicts: name (what was done), dtype (None for `--help`), seconds (a list).
    """
    found = {}
    for _ in range(rounds):
        found.setdefault((HELP, None), []).append(help_seconds())
        for workload in workloads:
            for name, seconds in first_steps(workload).items():
                found.setdefault((name, workload.dtype), []).append(seconds)
    return [{"name": name, "dtype": dtype, "seconds": s} for (name, dtype), s in found.items()]


def report(rows, workload):
    """The rows of `measure` as Markdown lines."""
    lines = [
        [
            row["name"],
            row["dtype"] or "",
            f"{statistics.median(row['seconds']):.2f}",
            f"{min(row['seconds']):.2f} to {max(row['seconds']):.2f}",
        ]
        for row in rows
    ]
    title = f"start, batch {workload.batch_size}, {workload.timesteps} time steps, fresh processes"
    return [title, "", *markdown(["", "dtype", "s", "lowest to highest"], lines, text_columns=2)]
