"""How the time of a training step grows with the window and with the batch.

One process of each implementation trains on all sizes in turn, so that the machine's moods meet all
sizes. Time per token is set beside that of the next smaller size: a kernel that changes its way of
working for the worse shows as a number above 1.
"""

import statistics

from benchmarks.implementations import NAMES
from benchmarks.report import markdown, milliseconds
from benchmarks.turns import Turns

# Those whose growth is of interest; the others share their kernels.
COMPARED = ("awd_keras", "torch_lstm")
TIMESTEPS = (35, 70, 105, 140)
BATCH_SIZES = (1, 5, 10, 20, 40, 80, 160)


def measure(workloads, names, pythons, timesteps, batch_sizes, rounds):
    """Times training steps of many sizes.

    Args:
        workloads: list of `Workload`: one for each dtype. Windows of all lengths have its
            batch size, batches of all sizes its time steps.
        names: names of implementations.
        pythons: dict from a name to the interpreter that runs it.
        timesteps: lengths of windows.
        batch_sizes: sizes of batches.
        rounds: how often each size is measured, after one round that is not.

    Returns:
        list of dicts: name, dtype, framework, and sizes: a list of dicts of batch_size, timesteps
        and seconds (a list); or name, dtype and problem.
    """
    base = workloads[0]
    sizes = [(base.batch_size, steps) for steps in timesteps]
    sizes += [(batch_size, base.timesteps) for batch_size in batch_sizes]
    sizes = list(dict.fromkeys(sizes))
    with Turns(names, workloads, pythons) as turns:
        for row in turns.rows:
            row["sizes"] = [
                {"batch_size": batch_size, "timesteps": steps, "seconds": []}
                for batch_size, steps in sizes
            ]
        for turn in range(rounds + 1):
            for index, (batch_size, steps) in enumerate(sizes):
                size = {"batch_size": batch_size, "timesteps": steps}
                for _ in turns.ask("resize", pause=False, repeat=1, arguments=size):
                    pass
                for row, answer in turns.ask("train_step", first=turn, repeat=1):
                    if turn > 0:
                        row["sizes"][index]["seconds"].append(answer["seconds"])
        return turns.rows


def table(rows, varied, values, fixed, fixed_value):
    """One axis of the growth as Markdown lines.

    Args:
        rows: list of dicts of `measure`.
        varied: `"timesteps"` or `"batch_size"`.
        values: its values, growing.
        fixed: the other of the two.
        fixed_value: its value.
    """
    header = ["", "dtype", varied.replace("_", " "), "ms", "lowest to highest", "tokens/s"]
    header += ["time per token, to the size above"]
    lines = []
    for row in rows:
        if "problem" in row:
            problem = f"not measured: {row['problem']}"
            lines.append([NAMES[row["name"]], row["dtype"], problem])
            continue
        by_value = {
            size[varied]: size["seconds"] for size in row["sizes"] if size[fixed] == fixed_value
        }
        before = None
        for value in values:
            per_token = statistics.median(by_value[value]) / (value * fixed_value)
            lines.append(
                [
                    f"{NAMES[row['name']]} ({row['framework']})",
                    row["dtype"],
                    str(value),
                    *milliseconds(by_value[value]),
                    f"{1 / per_token:,.0f}",
                    f"{per_token / before:.2f}" if before else "",
                ]
            )
            before = per_token
    return markdown(header, lines, text_columns=2)


def report(rows, workload, timesteps, batch_sizes):
    """Both tables of `measure`'s rows as Markdown lines."""
    batch_size, steps = workload.batch_size, workload.timesteps
    return [
        f"growth with the window, batch {batch_size}",
        "",
        *table(rows, "timesteps", sorted(timesteps), "batch_size", batch_size),
        "",
        f"growth with the batch, {steps} time steps",
        "",
        *table(rows, "batch_size", sorted(batch_sizes), "timesteps", steps),
    ]
