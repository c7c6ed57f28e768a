"""The picture of runs: perplexity against epochs."""

import os
import pathlib

_COLORS = ("#1f5f99", "#c2571a", "#3b7d3a", "#7a4fa0", "#a1303a", "#5f6b76")


def draw_curves(path, rows, title, baseline=None):
    """Draws validation perplexity, raw and averaged, against epochs.

    Args:
        path: the PNG to write.
        rows: rows of metrics.csv, dictionaries of strings.
        title: text above the picture.
        baseline: None, or `(label, perplexity)` of a horizontal line.

    Returns:
        True, or False where matplotlib is not installed or there is nothing to draw.
    """
    if not rows:
        return False
    try:
        figure = make_figure({"": rows}, title, baseline)
    except ImportError:
        return False
    beside = pathlib.Path(f"{path}.partial")
    try:
        figure.savefig(beside, format="png", dpi=120)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return True


def make_figure(runs, title=None, baseline=None, size=(8, 5), training=False):
    """Makes the figure of one or more runs.

    Args:
        runs: a dictionary of name to rows of metrics.csv, at least one row each. The name of an
            only run is not shown.
        title: None, or text above the picture.
        baseline: None, or `(label, perplexity)` of a horizontal line.
        size: inches, (width, height).
        training: whether to draw the perplexity of training too.

    Returns:
        a `matplotlib.figure.Figure`: no global state, no display.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    for index, (name, rows) in enumerate(runs.items()):
        of_run = f", {name}" if len(runs) > 1 else ""
        _plot_run(axes, rows, of_run, _COLORS[index % len(_COLORS)], training)
    if baseline is not None:
        label, value = baseline
        axes.axhline(value, color="black", linewidth=0.8, label=f"{label}: {value}")
    axes.set(xlabel="epoch", ylabel="perplexity", yscale="log")
    if title is not None:
        axes.set_title(title, parse_math=False)
    low, high = axes.get_ylim()
    # Round numbers, some of them whatever the range.
    near, far = MaxNLocator(8, steps=(1, 2, 2.5, 5, 10)), LogLocator(subs=(1, 1.5, 2, 3, 5, 7))
    axes.yaxis.set_major_locator(near if high < 4 * low else far)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    for text in axes.legend().get_texts():
        text.set_parse_math(False)  # a name may have dollar signs
    return figure


def _plot_run(axes, rows, of_run, color, training):
    epochs = [float(row["epoch"]) for row in rows]

    def column(name):
        return [float(row[name]) for row in rows]

    if training:
        # Nats; as an array, so that what is beyond a float becomes infinity.
        import numpy as np

        with np.errstate(over="ignore"):
            axes.plot(epochs, np.exp(column("train_loss")), color=color, linewidth=1, alpha=0.5,
                      label=f"training, with dropout{of_run}")  # fmt: skip
    axes.plot(epochs, column("validation_perplexity"), color=color, marker="o", markersize=4,
              label=f"validation (averaged once triggered){of_run}")  # fmt: skip
    averaging = [row["averaging"] == "1" for row in rows]
    if any(averaging):
        started = averaging.index(True)
        raw = column("raw_validation_perplexity")[started:]
        axes.plot(epochs[started:], raw, color=color, marker=".", linestyle="--",
                  label=f"validation, raw weights{of_run}")  # fmt: skip
        axes.axvline(epochs[max(started - 1, 0)], color=color if of_run else "grey",
                     linestyle=":", label=f"averaging starts{of_run}")  # fmt: skip
