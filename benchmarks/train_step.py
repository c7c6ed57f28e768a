"""Speed and memory of training: the step against the peers, and what else a run is made of.

  python -m benchmarks.train_step --peer_python=/path/to/python-with-torch-and-fastai

Tasks, each with tables of its own: `train_step`, `evaluate` and `generate` against the peers;
`growth` of the step with window and batch; `pieces` of the step; `epoch`: what is outside of it;
`start_up`; `large_vocabulary`: the softmax's chunks, their time and memory. `--task` chooses.

Whatever is compared is alive at once, each in a process of its own, and takes turns; figures are
medians, and ratios are of medians of one run. What is not installed is named in the table. Sizes
are the paper's for Penn Treebank. `--output=FILE` keeps every single time as JSON.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import sys

from benchmarks import comparison, epoch, growth, pieces, softmax, start_up
from benchmarks.implementations import NAMES, TORCH
from benchmarks.report import machine
from benchmarks.workload import Workload

_TASKS = (
    "train_step",
    "evaluate",
    "generate",
    "growth",
    "pieces",
    "epoch",
    "start_up",
    "large_vocabulary",
)
_SIZES = ("timesteps", "vocabulary_size", "embedding_dim", "hidden_dim", "num_layers")
_GENERATED = 200


def _sized(arguments, **changes):
    """A `Workload` of each dtype."""
    workload = dataclasses.replace(arguments.workload, **changes)
    return [dataclasses.replace(workload, dtype=dtype) for dtype in arguments.dtype]


def _compare(arguments, task, repeat=1, **size):
    workloads = _sized(arguments, **size)
    rows = comparison.measure(
        workloads,
        arguments.implementations,
        arguments.pythons,
        task,
        arguments.rounds,
        repeat,
        arguments.product_size,
    )
    workload, is_training = workloads[0], task == "train_step"
    title = f"{task}, batch {workload.batch_size}, {workload.timesteps} time steps"
    lines = [title, "", *comparison.table(rows, workload, is_training)]
    if is_training:
        lines += [line for sentence in comparison.split_of_ratio(rows) for line in ["", sentence]]
    return {"workload": vars(workload), "rows": rows}, lines


def _growth(arguments):
    names = [name for name in arguments.implementations if name in growth.COMPARED]
    workloads = _sized(arguments)
    sizes = arguments.growth_timesteps, arguments.growth_batch_size
    rows = growth.measure(workloads, names, arguments.pythons, *sizes, arguments.rounds)
    return rows, growth.report(rows, workloads[0], *sizes)


def _pieces(arguments):
    workloads = _sized(arguments)
    rows = pieces.measure(workloads, arguments.pythons, arguments.rounds)
    return rows, pieces.report(rows, workloads[0])


def _epoch(arguments):
    workloads = _sized(arguments)
    rows = epoch.measure(
        workloads, arguments.pythons, arguments.windows, arguments.validation_tokens
    )
    return rows, epoch.report(rows, workloads[0], arguments.windows)


def _start_up(arguments):
    workloads = _sized(arguments)
    rows = start_up.measure(workloads, arguments.rounds)
    return rows, start_up.report(rows, workloads[0])


def _large_vocabulary(arguments):
    workload = arguments.workload
    tokens = [size * workload.timesteps for size in arguments.batch_size]
    results = softmax.measure(
        tokens,
        workload.vocabulary_size,
        arguments.large_tokens,
        arguments.large_vocabulary_size,
        arguments.rounds,
    )
    return results, softmax.report(results)


def _plans(arguments):
    """`(task, function)`; a function returns what `--output` keeps, and Markdown lines."""
    compare = functools.partial(_compare, arguments)
    return [
        *(
            ("train_step", functools.partial(compare, "train_step", batch_size=size))
            for size in arguments.batch_size
        ),
        ("evaluate", functools.partial(compare, "evaluate", batch_size=10)),
        ("generate", functools.partial(compare, "generate", _GENERATED, batch_size=1, timesteps=1)),
        ("growth", functools.partial(_growth, arguments)),
        ("pieces", functools.partial(_pieces, arguments)),
        ("epoch", functools.partial(_epoch, arguments)),
        ("start_up", functools.partial(_start_up, arguments)),
        ("large_vocabulary", functools.partial(_large_vocabulary, arguments)),
    ]


def _parser():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--task", nargs="+", default=list(_TASKS), choices=_TASKS, help="what to measure")
    add("--batch_size", type=int, nargs="+", default=[20, 80], help="of the training steps")
    add("--rounds", type=int, default=5, help="measurements of each")
    add(
        "--dtype",
        nargs="+",
        default=["float32"],
        choices=["float32", "bfloat16"],
        help="of the products; bfloat16 is slow where the CPU does not multiply it",
    )
    add("--implementations", nargs="+", default=list(NAMES), choices=list(NAMES), help="which")
    add("--peer_python", default=sys.executable, help="interpreter with torch and fastai")
    add(
        "--product_size",
        type=int,
        default=comparison.PRODUCT_SIZE,
        help="of the one large product; 12288 keeps a large GPU busy",
    )
    for name in _SIZES:
        add(f"--{name}", type=int, default=getattr(Workload, name), help="size")
    add(
        "--growth_timesteps",
        type=int,
        nargs="+",
        default=list(growth.TIMESTEPS),
        help="growth: windows, at batch 20",
    )
    add(
        "--growth_batch_size",
        type=int,
        nargs="+",
        default=list(growth.BATCH_SIZES),
        help="growth: batches, at --timesteps",
    )
    add("--windows", type=int, default=20, help="epoch: windows of the text")
    add("--validation_tokens", type=int, default=10_000, help="epoch: of the validation text")
    add(
        "--large_vocabulary_size",
        type=int,
        default=softmax.LARGE_VOCABULARY,
        help="large_vocabulary: words where memory is measured",
    )
    add(
        "--large_tokens",
        type=int,
        default=softmax.LARGE_TOKENS,
        help="large_vocabulary: tokens where memory is measured",
    )
    add("--output", help="JSON file for all single times")
    return parser


def main():
    arguments = _parser().parse_args()
    arguments.workload = Workload(**{name: getattr(arguments, name) for name in _SIZES})
    arguments.pythons = {
        name: arguments.peer_python if name in TORCH else sys.executable for name in NAMES
    }
    results = {"machine": machine()}
    print(results["machine"], flush=True)
    for task, measure in _plans(arguments):
        if task not in arguments.task:
            continue
        try:
            found, lines = measure()
        except (RuntimeError, OSError) as error:
            found, lines = {"problem": str(error)}, [f"{task}: not measured: {error}"]
        results.setdefault(task, []).append(found)
        print("\n" + "\n".join(lines), flush=True)
        if arguments.output:
            pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
