"""Compares implementations side by side: workers, rounds, tables and the shared command line."""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import statistics
import sys
import time

from benchmarks import report
from benchmarks.implementations import LABELS, TORCH
from benchmarks.worker import Worker
from benchmarks.workload import Workload

BASELINE = "baseline"
OURS = {BASELINE, "exported", *(name for name in LABELS if name.startswith("awd_keras"))}
_SIZES = ("timesteps", "vocabulary_size", "embedding_dim", "hidden_dim", "num_layers")
# PyTorch's threads spin for a moment after a matmul; wait until they stop.
_PAUSE_SECONDS = 0.3


def measure(workers, task, rounds, *, calls=1, repeat=1, warm_up=1, self_timed=False):
    """Times a task in all workers, which take turns.

    Args:
        workers: list of `Worker`.
        task: name of a method of the implementations.
        rounds: number of rounds after the first, which is not timed. Each round starts with a
            different worker.
        calls: number of measurements per round.
        repeat: number of calls averaged into one measurement.
        warm_up: number of calls before each measurement.
        self_timed: whether the method returns its seconds.

    Returns:
        A list of dicts, one for each worker, with `name`, `dtype`, `framework`, `seconds` (a list)
        and `problem` (None, or why the worker has no measurements).
    """
    rows = [{"name": worker.name, "dtype": worker.dtype, "seconds": []} for worker in workers]
    pairs = list(zip(workers, rows))
    for turn in range(rounds + 1):
        start = turn % len(pairs)
        for worker, row in pairs[start:] + pairs[:start]:
            time.sleep(_PAUSE_SECONDS)
            for _ in range(calls):
                answer = worker.ask(task, repeat=repeat, warm_up=warm_up)
                if answer and turn > 0:
                    row["seconds"].append(answer["result" if self_timed else "seconds"])
    for worker, row in pairs:
        row.update(framework=worker.framework, problem=worker.problem)
    return rows


def relative_speed(row, rows):
    """Returns the speed relative to the fastest peer and the time relative to the baseline.

    bfloat16 is compared with peers in any dtype, float32 with peers in float32.

    Args:
        row: a dict with `name`, `dtype`, `seconds` and `problem`.
        rows: list of all rows.

    Returns:
        A pair of floats; None where there is nothing to compare with.
    """
    dtypes = {"float32", row["dtype"]}
    medians = {
        (other["name"], other["dtype"]): statistics.median(other["seconds"])
        for other in rows
        if other["problem"] is None and other["dtype"] in dtypes
    }
    median = medians[row["name"], row["dtype"]]
    peers = [seconds for (name, _), seconds in medians.items() if name not in OURS]
    baseline = medians.get((BASELINE, row["dtype"]))
    return min(peers) / median if peers else None, median / baseline if baseline else None


def table(rows, num_tokens):
    """Formats the rows of `measure`, of `num_tokens` words per call, as Markdown lines."""
    header = ["implementation", "dtype", "ms (range)", "tokens/s", "speed / fastest peer"]
    header.append("time / baseline")
    lines = []
    for row in rows:
        line = [LABELS.get(row["name"], row["name"]), row["dtype"]]
        if row["problem"] is not None:
            lines.append([*line, f"not measured: {row['problem']}"])
            continue
        line[0] += f" ({row['framework']})"
        speeds = [f"{x:.2f}" if x else "" for x in relative_speed(row, rows)]
        rate = num_tokens / statistics.median(row["seconds"])
        lines.append([*line, report.milliseconds(row["seconds"]), f"{rate:,.0f}", *speeds])
    return report.markdown(header, lines)


def argument_parser(description, implementations, **defaults):
    """Returns the command line that all benchmarks share.

    Args:
        description: docstring of the command.
        implementations: names of the implementations to compare by default.
        **defaults: defaults of the arguments that the benchmarks set differently.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    dtypes = ["float32", "bfloat16"]
    add("--implementations", nargs="+", default=implementations, help="what to compare")
    add("--baseline", help="another checkout of this repository, compared as `baseline`")
    add("--peer_python", default=sys.executable, help="Python with torch and fastai")
    add("--dtype", nargs="+", default=dtypes[:1], choices=dtypes, help="dtypes of matmuls")
    add("--batch_size", type=int, nargs="+", help="batch sizes")
    add("--rounds", type=int, default=5, help="number of measured rounds")
    for field in _SIZES:
        add(f"--{field}", type=int, default=getattr(Workload, field), help="size of the workload")
    add("--output", help="JSON file for all measurements")
    parser.set_defaults(**defaults)
    return parser


def run(arguments, tasks, **options):
    """Runs tasks for each batch size and prints a table for each.

    Args:
        arguments: parsed arguments of `argument_parser`.
        tasks: list of method names.
        **options: arguments of `measure`.
    """
    machine = report.machine()
    print(machine, flush=True)
    kept = []
    for batch_size in arguments.batch_size:
        workload = Workload(batch_size=batch_size, **{s: getattr(arguments, s) for s in _SIZES})
        with contextlib.ExitStack() as stack:
            workers = _start(arguments, workload)
            for worker in workers:
                stack.callback(worker.close)
            for task in tasks:
                rows = measure(workers, task, arguments.rounds, **options)
                print(f"\n{task}, batch size {batch_size}, {workload.timesteps} time steps\n")
                num_tokens = batch_size if task == "step" else workload.num_tokens
                print("\n".join(table(rows, num_tokens)), flush=True)
                kept.append({"task": task, "workload": vars(workload), "rows": rows})
        if arguments.output:
            text = json.dumps({"machine": machine, "measurements": kept}, indent=1)
            pathlib.Path(arguments.output).write_text(text, encoding="utf-8")


def _start(arguments, workload):
    workers = []
    for dtype in arguments.dtype:
        settings = dataclasses.replace(workload, dtype=dtype)
        for name in arguments.implementations:
            python = arguments.peer_python if name in TORCH else sys.executable
            workers.append(Worker(name, settings, python))
        if arguments.baseline:
            ours = next(name for name in arguments.implementations if name in OURS)
            workers.append(Worker(ours, settings, root=arguments.baseline, label=BASELINE))
    return workers
