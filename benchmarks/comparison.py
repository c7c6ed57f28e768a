"""This library and the peers, side by side: a training step, an evaluation, a generated word."""

import statistics

from benchmarks.implementations import NAMES
from benchmarks.report import markdown, milliseconds
from benchmarks.turns import Turns

PRODUCT_SIZE = 3072  # on a CPU; a GPU needs a larger product to be busy
_OURS = "awd_keras"


def measure(workloads, names, pythons, task, rounds, repeat=1, product_size=PRODUCT_SIZE):
    """Runs implementations side by side.

    Args:
        workloads: list of `Workload`: one for each dtype.
        names: names of implementations.
        pythons: dict from a name to the interpreter that runs it.
        task: `"train_step"`, `"evaluate"` or `"generate"`.
        rounds: how often each is measured, after one round that is not.
        repeat: calls for each measurement, after one that is not timed.
        product_size: rows and columns of the one large product.

    Returns:
        list of dicts: name, dtype, framework, seconds (a list), first_seconds (the first call, with
        tracing), product_rate (multiply-adds a second of one large product), peak (MiB above what
        the imported framework holds); or name, dtype and problem.
    """
    with Turns(names, workloads, pythons) as turns:
        for row in turns.rows:
            row["seconds"], row["product_seconds"] = [], []
        for row, answer in turns.ask(task, repeat=1):
            row["first_seconds"] = answer["seconds"]
        for turn in range(rounds + 1):
            # In training one step follows the other: none is timed that finds cold caches.
            for row, answer in turns.ask(task, first=turn, warm_up=1, repeat=repeat):
                if turn > 0:
                    row["seconds"].append(answer["seconds"])
        for row, answer in turns.ask("memory"):
            row["peak"] = answer["peak"]
        for turn in range(rounds):
            for row, answer in turns.ask("product", first=turn, size=product_size):
                row["product_seconds"].append(answer["seconds"])
        for row in turns.rows:
            if "problem" not in row:
                row["product_rate"] = product_size**3 / statistics.median(row["product_seconds"])
        return turns.rows


def rivals(rows, row):
    """The peers that a row is compared with: in the same dtype for float32, in any for bfloat16."""
    return [
        peer
        for peer in rows
        if "problem" not in peer
        and peer["name"] != _OURS
        and (row["dtype"] != "float32" or peer["dtype"] == "float32")
    ]


def _median(row):
    return statistics.median(row["seconds"])


def table(rows, workload, training):
    """The rows of `measure` as Markdown lines."""
    header = ["", "dtype", "ms", "lowest to highest", "tokens/s", "times the fastest peer's speed"]
    header += ["of one large product's rate", "that rate", "peak MiB", "first call"]
    lines = []
    for row in rows:
        label = NAMES[row["name"]]
        if "problem" in row:
            lines.append([label, row["dtype"], f"not measured: {row['problem']}"])
            continue
        peers = rivals(rows, row)
        fastest = min(map(_median, peers), default=None)
        share = workload.multiply_adds(training) / _median(row) / row["product_rate"]
        lines.append(
            [
                f"{label} ({row['framework']})",
                row["dtype"],
                *milliseconds(row["seconds"]),
                f"{workload.tokens / _median(row):,.0f}",
                f"{fastest / _median(row):.2f}" if peers else "no peer",
                f"{share:.0%}",
                f"{2e-9 * row['product_rate']:,.0f} GF/s",
                f"{row['peak']:,.0f}",
                f"{row['first_seconds']:.1f} s",
            ]
        )
    return markdown(header, lines, text_columns=2)


def split_of_ratio(rows):
    """How much of our ratio to the fastest peer is the matrix library's, a line for each dtype.

    The ratio is the product of both: of the rates of one large product, which the framework's BLAS
    gives, and of what the step makes of that rate, which is the implementation's.
    """
    lines = []
    for row in (row for row in rows if row["name"] == _OURS):
        peers = rivals(rows, row)
        if "problem" in row or not peers:
            why = "this library was not measured" if "problem" in row else "no peer was measured"
            lines.append(f"{row['dtype']}: no ratio, {why}.")
            continue
        fastest = min(peers, key=_median)
        ratio = _median(fastest) / _median(row)
        by_blas = row["product_rate"] / fastest["product_rate"]
        lines.append(
            f"{row['dtype']}: of the ratio to the fastest peer, {ratio:.2f} "
            f"({NAMES[fastest['name']]}, {fastest['dtype']}), the BLAS gives {by_blas:.2f} (our "
            f"product rate / theirs), the rest, {ratio / by_blas:.2f}, is ours."
        )
    return lines
