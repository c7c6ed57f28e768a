"""What the pieces of a training step cost, and whether they are all of it.

In one process the whole step and its pieces take turns, on the step's own shapes; figures are
medians. The pieces are measured apart from each other, so their sum need not be the step's time:
what is left over, or counted twice, is the last line.
"""

import statistics

from benchmarks.report import markdown, milliseconds
from benchmarks.turns import Turns

INPUT = "input: cutting the window, making tensors"
EMBEDDING, LOOKUP = "embedding with its mask", "embedding without"
WEIGHT_MASKS = "weight masks"
LOCKED_MASKS = "locked masks"
FORWARD = "LSTM stack forward, with the lookup"
BACKWARD = "LSTM stack backward"
SOFTMAX = "softmax and loss, with gradient"
PENALTIES = "AR and TAR, with gradient"
UPDATE = "clip and update"
AVERAGED_UPDATE = "clip and update, once averaging has started"
WHOLE = "whole step"
# The lookup is the stack's: of the embedding's dropout only the mask is counted by itself.
EMBEDDING_MASK = "embedding mask"
SUMMED = (
    INPUT,
    EMBEDDING_MASK,
    WEIGHT_MASKS,
    LOCKED_MASKS,
    FORWARD,
    BACKWARD,
    SOFTMAX,
    PENALTIES,
    UPDATE,
)


def measure(workloads, pythons, rounds):
    """Times the whole step and its pieces.

    Args:
        workloads: list of `Workload`: one for each dtype.
        pythons: dict from a name to the interpreter that runs it.
        rounds: how often each is measured, after one round that is not.

    Returns:
        list of dicts: name, dtype, framework, and pieces: a dict of name to a list of seconds; or
        name, dtype and problem.
    """
    name = "awd_keras_pieces"
    with Turns([name], workloads, {name: pythons["awd_keras"]}) as turns:
        for row in turns.rows:
            row["pieces"] = {}
        for turn in range(rounds + 1):
            for row, answer in turns.ask("round", first=turn, repeat=1):
                if turn > 0:
                    for piece, seconds in answer["result"].items():
                        row["pieces"].setdefault(piece, []).append(seconds)
        for row in turns.rows:
            if "problem" not in row:
                pairs = zip(row["pieces"].pop(EMBEDDING), row["pieces"].pop(LOOKUP))
                row["pieces"][EMBEDDING_MASK] = [max(0.0, a - b) for a, b in pairs]
        return turns.rows


def table(row):
    """The pieces of one dtype as Markdown lines."""
    if "problem" in row:
        return [f"{row['dtype']}: not measured: {row['problem']}"]
    medians = {name: statistics.median(seconds) for name, seconds in row["pieces"].items()}
    whole = medians[WHOLE]
    together = sum(medians[name] for name in SUMMED)

    def line(name):
        return [name, *milliseconds(row["pieces"][name]), f"{medians[name] / whole:.1%}"]

    def sum_line(name, seconds):
        return [name, f"{1000 * seconds:.4g}", "", f"{seconds / whole:.1%}"]

    lines = [line(name) for name in SUMMED]
    lines += [sum_line("sum of these", together), line(WHOLE)]
    lines.append(sum_line("whole step less the sum", whole - together))
    lines.append(line(AVERAGED_UPDATE))
    header = [f"{row['dtype']}, {row['framework']}", "ms", "lowest to highest", "of the whole step"]
    return markdown(header, lines)


def report(rows, workload):
    """The rows of `measure` as Markdown lines."""
    title = f"pieces of a step, batch {workload.batch_size}, {workload.timesteps} time steps"
    return [title, *(line for row in rows for line in ["", *table(row)])]
