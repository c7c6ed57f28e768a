"""The pictures of runs: perplexity against epochs, and loss against the learning rate."""

from awd_keras.atomic_write import atomic_write

_COLORS = ("#1f5f99", "#c2571a", "#3b7d3a", "#7a4fa0", "#a1303a", "#5f6b76")
_VALIDATION = "validation (averaged once triggered)"


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
    save_figure(figure, path)
    return True


def draw_learning_rate_range(path, rows, suggested, title):
    """Draws the loss of a range test against the learning rate.

    Args:
        path: the PNG to write.
        rows: as `learning_rate_range_test` returns them.
        suggested: as `suggest_learning_rates` returns them.
        title: text above the picture.

    Returns:
        True, or False where matplotlib is not installed or there is nothing to draw.
    """
    if not suggested:
        return False
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    rates = [row["learning_rate"] for row in rows]
    smoothed = [row["smoothed_loss"] for row in rows]
    axes.plot(rates, [row["loss"] for row in rows], color=_COLORS[0], alpha=0.25, linewidth=1)
    axes.plot(rates, smoothed, color=_COLORS[0], label="training loss, smoothed")
    styles = {"steepest": ("steepest fall", _COLORS[2]), "lowest_loss": ("lowest", _COLORS[1])}
    for name, (label, color) in styles.items():
        axes.axvline(
            suggested[name], color=color, linestyle="--", label=f"{label}: {suggested[name]:.3g}"
        )
    finite = [loss for loss in smoothed if loss < float("inf")]
    axes.set(
        xlabel="learning rate",
        ylabel="nats per token",
        xscale="log",
        ylim=(min(finite) - 0.2, max(finite) + 0.2),
    )
    axes.set_title(title, parse_math=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
    save_figure(figure, path)
    return True


def save_figure(figure, path):
    """Writes a figure as a PNG, beside its place first: never half a picture.

    Args:
        figure: a `matplotlib.figure.Figure`.
        path: the file.
    """
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=120)


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
    used = {}
    for index, (name, rows) in enumerate(runs.items()):
        color = _COLORS[index % len(_COLORS)]
        validation = f"{_VALIDATION}, {name}" if len(runs) > 1 else _VALIDATION
        used |= _plot_run(axes, rows, color, validation, training)
    for label, style in used.items():
        axes.plot([], [], color=color if len(runs) == 1 else "grey", label=label, **style)
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
    axes.spines[["top", "right"]].set_visible(False)
    # Above the axes, where many lines would leave no room in them.
    many = {"loc": "outside upper left", "ncols": 2, "frameon": False}
    legend = figure.legend(**many) if len(runs) > 1 else axes.legend()
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may have dollar signs
    return figure


def _plot_run(axes, rows, color, label, training):
    """Plots a run; returns label and style of the lines without one, for the legend."""
    used = {}

    def plot(name, x, y, **style):
        axes.plot(x, y, color=color, **style)
        used[name] = style

    def column(name):
        return [float(row[name]) for row in rows]

    epochs = column("epoch")
    if training:
        # Nats; as an array, so that what is beyond a float becomes infinity.
        import numpy as np

        with np.errstate(over="ignore"):
            perplexities = np.exp(column("train_loss"))
        plot("training, with dropout", epochs, perplexities, linewidth=1, alpha=0.5)
    axes.plot(
        epochs, column("validation_perplexity"), color=color, marker="o", markersize=4, label=label
    )
    averaging = [row["averaging"] == "1" for row in rows]
    if any(averaging):
        started = averaging.index(True)
        raw = {
            epoch: float(row["raw_validation_perplexity"])
            for epoch, row in zip(epochs[started:], rows[started:], strict=True)
            if row["raw_validation_perplexity"]
        }
        if raw:
            plot("validation, raw weights", list(raw), list(raw.values()), marker=".", ls="--")
        # With the step after the check before, or with the first of all.
        axes.axvline(epochs[started - 1] if started else 0.0, color=color, linestyle=":")
        used["averaging starts"] = {"linestyle": ":"}
    return used
