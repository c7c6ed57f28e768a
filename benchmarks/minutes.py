"""Draws validation perplexity against minutes, for several runs in one picture.

  python -m benchmarks.minutes --output=minutes.png fast=runs/fast PyTorch=runs/torch

Each run is `label=folder`; the folder has a `metrics.csv`, of a run or of
`benchmarks.torch_training`. Runs of one label (other seeds) get one color. A table says where each
run ended.
"""

import argparse
import csv
import pathlib

from benchmarks.report import markdown

_COLORS = ("#1f5f99", "#c2571a", "#3b7d3a", "#7a4fa0")


def read_run(folder):
    """Minutes and validation perplexities of a run: two lists of floats."""
    with open(pathlib.Path(folder, "metrics.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise SystemExit(f"error: {folder}/metrics.csv has no rows yet.")
    minutes = [float(row["seconds"]) / 60 for row in rows]
    return minutes, [float(row["validation_perplexity"]) for row in rows]


def make_figure(runs):
    """A figure of `(label, minutes, perplexities)` tuples."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    colors = {}
    for label, minutes, perplexities in runs:
        first = label not in colors
        color = colors.setdefault(label, _COLORS[len(colors) % len(_COLORS)])
        axes.plot(minutes, perplexities, color=color, label=label if first else None)
        axes.plot(minutes[-1], perplexities[-1], "o", color=color)
    best = min(min(perplexities) for _, _, perplexities in runs)
    axes.set(
        xlabel="minutes", ylabel="validation perplexity", yscale="log", ylim=(0.95 * best, 4 * best)
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:.0f}")
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
    return figure


def table(runs):
    """Where each run ended, as Markdown lines.

    >>> table([("fast", [1.0, 2.5], [200.0, 150.25])])[2]
    '| fast | 2.5 | 150.2 | 150.2 |'
    """
    rows = [
        [label, f"{minutes[-1]:.1f}", f"{perplexities[-1]:.1f}", f"{min(perplexities):.1f}"]
        for label, minutes, perplexities in runs
    ]
    return markdown(["run", "minutes", "validation perplexity", "its lowest"], rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", required=True, help="PNG to write")
    parser.add_argument("runs", nargs="+", metavar="LABEL=FOLDER", help="runs to draw")
    arguments = parser.parse_args()
    pairs = [run.partition("=") for run in arguments.runs]
    wrong = [label for label, equals, folder in pairs if not (label and equals and folder)]
    if wrong:
        parser.error(f"expected LABEL=FOLDER. Received: {' '.join(wrong)}")
    missing = [f for _, _, f in pairs if not pathlib.Path(f, "metrics.csv").is_file()]
    if missing:
        parser.error(f"expected folders with a metrics.csv. Received: {' '.join(missing)}")
    runs = [(label, *read_run(folder)) for label, _, folder in pairs]
    make_figure(runs).savefig(arguments.output, dpi=120)
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main()
