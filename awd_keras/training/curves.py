"""The picture of a run: perplexity against epochs."""

import os
import pathlib


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
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not rows:
        return False
    # A Figure of its own: no global state, no display.
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    epochs = [float(row["epoch"]) for row in rows]

    def column(name):
        return [float(row[name]) for row in rows]

    averaging = [row["averaging"] == "1" for row in rows]
    axes.plot(epochs, column("validation_perplexity"), marker="o", markersize=4,
              label="validation (averaged once triggered)")  # fmt: skip
    if any(averaging):
        started = averaging.index(True)
        axes.plot(epochs[started:], column("raw_validation_perplexity")[started:], marker=".",
                  linestyle="--", label="validation, raw weights")  # fmt: skip
        axes.axvline(epochs[max(started - 1, 0)], color="grey", linestyle=":",
                     label="averaging starts")  # fmt: skip
    if baseline is not None:
        label, value = baseline
        axes.axhline(value, color="black", linewidth=0.8, label=f"{label}: {value}")
    axes.set(xlabel="epoch", ylabel="perplexity", title=title, yscale="log")
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_minor_formatter("{x:.0f}")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    beside = pathlib.Path(f"{path}.partial")
    try:
        figure.savefig(beside, format="png", dpi=120)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return True
