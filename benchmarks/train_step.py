"""Time and memory of a training step, of evaluation and of generation, against the peers.

  python -m benchmarks.train_step --peer_python=/path/to/python-with-torch-and-fastai

All implementations are alive at once, each in a process of its own, and step in turn; figures are
medians, and ratios are of medians of one run. What is not installed is named in the table. Sizes
are the paper's for Penn Treebank. `--output=FILE` keeps every single time as JSON.
"""

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import platform
import statistics
import sys
import time

from benchmarks.implementations import NAMES, TORCH
from benchmarks.worker import Worker
from benchmarks.workload import Workload

_PRODUCT_SIZE = 3072
# PyTorch's threads keep spinning for a moment after a product; the next process waits for that.
_PAUSE_SECONDS = 0.3
_GENERATED = 200


def measure(workloads, names, pythons, task, rounds, repeat=1):
    """Runs implementations side by side.

    Args:
        workloads: list of `Workload`: one for each dtype.
        names: names of implementations.
        pythons: dict from a name to the interpreter that runs it.
        task: `"train_step"`, `"evaluate"` or `"generate"`.
        rounds: how often each is measured, after one round that is not.
        repeat: calls for each measurement.

    Returns:
        list of dicts: name, dtype, framework, seconds (a list), first_seconds (the first call, with
        tracing), product_rate (multiply-adds a second of one large product), peak (MiB above what
        the imported framework holds); or name, dtype and problem.
    """
    rows, workers = [], []
    for workload, name in itertools.product(workloads, names):
        row = {"name": name, "dtype": workload.dtype, "seconds": []}
        rows.append(row)
        try:
            worker = Worker(name, workload, pythons[name])
            workers.append((worker, row))
            row["framework"] = worker.started["framework"]
            row["first_seconds"] = worker.ask(task, repeat=1)["seconds"]
        except (RuntimeError, OSError) as error:
            row["problem"] = str(error)
    running = [(worker, row) for worker, row in workers if "problem" not in row]
    for turn in range(rounds + 1):
        first = turn % max(len(running), 1)  # who goes first changes
        for worker, row in running[first:] + running[:first]:
            time.sleep(_PAUSE_SECONDS)
            seconds = worker.ask(task, repeat=repeat)["seconds"]
            if turn > 0:
                row["seconds"].append(seconds)
    for worker, row in running:
        row["peak"] = worker.ask("memory")["peak"]
    for worker, row in running:
        time.sleep(_PAUSE_SECONDS)
        best = min(worker.ask("product", size=_PRODUCT_SIZE)["seconds"] for _ in range(3))
        row["product_rate"] = _PRODUCT_SIZE**3 / best
    for worker, _ in workers:
        worker.close()
    return rows


def table(rows, workload, training):
    """The rows as Markdown lines.

    `ours / fastest` is the time of a row over the time of the fastest peer: in the same dtype for
    float32, in any for bfloat16.
    """
    header = ["", "dtype", "ms", "lowest to highest", "tokens/s", "times the fastest peer's speed"]
    header += ["of one large product's rate", "that rate", "peak MiB", "first call"]
    lines = [header, ["---"] * 2 + ["---:"] * (len(header) - 2)]
    peers = [row for row in rows if row["seconds"] and row["name"] != "awd_keras"]
    for row in rows:
        label = NAMES[row["name"]]
        if not row["seconds"]:
            problem = f"not measured: {row['problem']}"
            lines.append([label, row["dtype"], problem] + [""] * (len(header) - 3))
            continue
        median = statistics.median(row["seconds"])
        rivals = [
            statistics.median(peer["seconds"])
            for peer in peers
            if row["dtype"] != "float32" or peer["dtype"] == "float32"
        ]
        share = workload.multiply_adds(training) / median / row["product_rate"]
        lines.append([
            f"{label} ({row['framework']})",
            row["dtype"],
            f"{1000 * median:.4g}",
            f"{1000 * min(row['seconds']):.4g} to {1000 * max(row['seconds']):.4g}",
            f"{workload.tokens / median:,.0f}",
            f"{min(rivals) / median:.2f}" if rivals else "no peer",
            f"{share:.0%}",
            f"{2e-9 * row['product_rate']:,.0f} GF/s",
            f"{row['peak']:,.0f}",
            f"{row['first_seconds']:.1f} s",
        ])  # fmt: skip
    return ["| " + " | ".join(line) + " |" for line in lines]


def machine():
    """A line on what this was measured on."""
    model = "unknown CPU"
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        values = {name.strip(): value.strip() for name, _, value in fields}
        model, flags = values.get("model name", model), values.get("flags", "").split()
        wanted = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
        model += " with " + ", ".join(flag for flag in wanted if flag in flags)
    cores = len(os.sched_getaffinity(0))
    python = platform.python_version()
    return f"{model}; {cores} cores; Python {python}; {time.strftime('%Y-%m-%d')}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--batch_size", type=int, nargs="+", default=[20, 80], help="of the training steps"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each")
    parser.add_argument(
        "--dtype", nargs="+", default=["float32"], choices=["float32", "bfloat16"],
        help="of the products; bfloat16 is slow where the CPU does not multiply it")  # fmt: skip
    parser.add_argument(
        "--implementations", nargs="+", default=list(NAMES), choices=list(NAMES), help="which"
    )
    parser.add_argument(
        "--peer_python", default=sys.executable, help="interpreter with torch and fastai"
    )
    parser.add_argument(
        "--task", nargs="+", default=["train_step", "evaluate", "generate"],
        choices=["train_step", "evaluate", "generate"], help="what to measure")  # fmt: skip
    parser.add_argument("--output", help="JSON file for all single times")
    arguments = parser.parse_args()
    pythons = {n: arguments.peer_python if n in TORCH else sys.executable for n in NAMES}
    plans = [("train_step", Workload(batch_size=size), 1) for size in arguments.batch_size]
    plans += [("evaluate", Workload(batch_size=10), 1)]
    plans += [("generate", Workload(batch_size=1, timesteps=1), _GENERATED)]
    results = {"machine": machine(), "plans": []}
    print(results["machine"], flush=True)
    for task, workload, repeat in plans:
        if task not in arguments.task:
            continue
        workloads = [dataclasses.replace(workload, dtype=dtype) for dtype in arguments.dtype]
        rows = measure(
            workloads, arguments.implementations, pythons, task, arguments.rounds, repeat
        )
        results["plans"].append({"task": task, "workload": vars(workload), "rows": rows})
        print(f"\n{task}, batch {workload.batch_size}, {workload.timesteps} time steps\n")
        print("\n".join(table(rows, workload, training=task == "train_step")), flush=True)
        if arguments.output:
            pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
