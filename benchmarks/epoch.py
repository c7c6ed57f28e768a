"""What an epoch costs outside of the training step: the loop, its log, checkpoints, validation.

The real training loop runs two short epochs; the second is measured. Its checkpoint and validation
come after a few windows instead of after all of an epoch, so the last line says what the measured
times are in an epoch of Penn Treebank.
"""

import math
import statistics

from benchmarks.report import markdown
from benchmarks.turns import Turns

STEP = "training step"
LOG = "reading losses, log"
CHECKPOINT = "checkpoints"
VALIDATION = "validation"
PARTS = (STEP, LOG, CHECKPOINT, VALIDATION)
_LOOP = "loop: windows, tensors, Python"
_PTB_TOKENS, _PTB_VALIDATION_TOKENS = 929_589, 73_760
# The loop's default: so often it saves in the midst of an epoch.
_CHECKPOINT_SECONDS = 300


def measure(workloads, pythons, windows, validation_tokens, rounds=1):
    """Runs the training loop.

    Args:
        workloads: list of `Workload`: one for each dtype.
        pythons: dict from a name to the interpreter that runs it.
        windows: full windows that the training text is long.
        validation_tokens: length of the validation text.
        rounds: runs of each, with two epochs.

    Returns:
        list of dicts: name, dtype, framework, validation_tokens, and runs: a list of dicts of
        wall, parts, counts and tokens; or name, dtype and problem.
    """
    name = "awd_keras_epoch"
    size = {"windows": windows, "validation_tokens": validation_tokens}
    with Turns([name], workloads, {name: pythons["awd_keras"]}) as turns:
        for row in turns.rows:
            row.update(runs=[], validation_tokens=validation_tokens)
        for turn in range(rounds):
            for row, answer in turns.ask("epoch", first=turn, repeat=1, arguments=size):
                row["runs"].append(answer["result"])
        return turns.rows


def _medians(row):
    """Medians of a row's runs: seconds of the epoch without validation, and of each part."""
    runs = row["runs"]
    parts = {p: statistics.median(run["parts"][p] for run in runs) for p in PARTS}
    training = statistics.median(run["wall"] - run["parts"][VALIDATION] for run in runs)
    parts[_LOOP] = training - parts[STEP] - parts[LOG] - parts[CHECKPOINT]
    return training, parts


def full_epoch(row):
    """Shares of an epoch of Penn Treebank, computed from the measured times.

    Returns:
        `(outside, checkpoints, validation)`: shares of the training time outside of the steps, and
        of its part in checkpoints; validation's time as a share of the training time.
    """
    training, parts = _medians(row)
    tokens = row["runs"][0]["tokens"]
    scale = _PTB_TOKENS / tokens
    steps, rest = scale * parts[STEP], scale * (parts[LOG] + parts[_LOOP])
    saves = 1 + math.floor((steps + rest) / _CHECKPOINT_SECONDS)
    checkpoints = saves * parts[CHECKPOINT]
    validation = parts[VALIDATION] * _PTB_VALIDATION_TOKENS / row["validation_tokens"]
    training = steps + rest + checkpoints
    return (rest + checkpoints) / training, checkpoints / training, validation / training


def table(row):
    """The measured epoch of one dtype as Markdown lines."""
    if "problem" in row:
        return [f"{row['dtype']}: not measured: {row['problem']}"]
    training, parts = _medians(row)
    counts = row["runs"][0]["counts"]
    lines = []
    for name in (STEP, _LOOP, LOG, CHECKPOINT, VALIDATION):
        share = "apart" if name == VALIDATION else f"{parts[name] / training:.2%}"
        calls = counts[STEP if name == _LOOP else name]
        lines.append([name, str(calls), f"{parts[name]:.3f}", share])
    outside = training - parts[STEP]
    lines.append(["all outside of the step", "", f"{outside:.3f}", f"{outside / training:.2%}"])
    header = [f"{row['dtype']}, {row['framework']}", "calls", "s", "of the epoch's training"]
    full = dict(zip(("outside", "checkpoints", "validation"), full_epoch(row)))
    return [
        *markdown(header, lines),
        "",
        f"In an epoch of Penn Treebank ({_PTB_TOKENS:,} tokens), computed: outside of the step "
        f"{full['outside']:.2%} of the training time (checkpoints every five minutes and at the "
        f"end {full['checkpoints']:.2%}); validation {full['validation']:.2%} of it.",
    ]


def report(rows, workload, windows):
    """The rows of `measure` as Markdown lines."""
    title = f"an epoch of {windows} full windows, batch {workload.batch_size}, "
    title += f"{workload.timesteps} time steps"
    return [title, *(line for row in rows for line in ["", *table(row)])]
