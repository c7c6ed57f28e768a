"""Figures of perplexity against epochs."""

import math

from awd_keras.atomic_write import atomic_write
from awd_keras.evaluation.evaluate import perplexity

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
except ImportError:  # an optional package
    matplotlib = None

_COLORS = ("#1f5f99", "#c2571a", "#3b7d3a", "#7a4fa0", "#a1303a", "#5f6b76")


def save_figure(figure, path):
    """Writes a matplotlib figure as a PNG file, atomically."""
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)


def make_figure(runs, title=None, baseline=None, size=(8, 5), training=False):
    """Returns a matplotlib figure of runs, a dictionary of name to rows of `metrics.csv`.

    `baseline` is the label and the perplexity of a horizontal line; with `training`, the training
    perplexity is drawn too.
    """
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    for index, (name, rows) in enumerate(runs.items()):
        _plot_run(axes, name, rows, _COLORS[index % len(_COLORS)], training)
    if baseline is not None:
        label, value = baseline
        axes.axhline(value, color="black", linewidth=0.8, label=f"{label}: {value}")
    axes.set(xlabel="epoch", ylabel="perplexity", yscale="log")
    if title is not None:
        axes.set_title(title, parse_math=False)
    low, high = axes.get_ylim()
    # Several round ticks, whatever the range.
    locator = MaxNLocator(8) if high < 4 * low else LogLocator(subs=(1, 1.5, 2, 3, 5, 7))
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    # With several runs, the axes have no room for the legend.
    above = {"loc": "outside upper left", "ncols": 2, "frameon": False}
    legend = figure.legend(**above) if len(runs) > 1 else axes.legend()
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may contain dollar signs
    return figure


def _plot_run(axes, name, rows, color, training):
    suffix = f", {name}" if name else ""
    epochs = [float(row["epoch"]) for row in rows]

    def plot(column, label, convert=float, **style):
        values = [convert(float(row[column])) if row[column] else math.nan for row in rows]
        axes.plot(epochs, values, color=color, label=label + suffix, **style)

    if training:
        plot("train_loss", "training, with dropout", perplexity, linewidth=1, alpha=0.5)
    plot("validation_perplexity", "validation (averaged once triggered)", marker=".")
    averaging = [row["averaging"] == "1" for row in rows]
    if any(averaging):
        start = averaging.index(True)
        if any(row["raw_validation_perplexity"] for row in rows[start:]):
            plot("raw_validation_perplexity", "validation, raw weights", linestyle="--")
        previous = epochs[start - 1] if start else 0.0
        label = f"averaging starts{suffix}"
        axes.axvspan(previous, epochs[start], color=color, alpha=0.2, linewidth=0, label=label)
