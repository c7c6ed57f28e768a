"""What mattered in a search, as a picture and in TensorBoard's HParams."""

import math

import tensorflow as tf

from trainers.search.hypermodel import OBJECTIVE
from trainers.search.results import comparable, importance
from trainers.search.spaces import SPACES
from trainers.training.curves import save_figure

_COLOR, _BEST = "#1f5f99", "#c2571a"
_COLUMNS = 3


def draw_search(path, results, config):
    """Draws perplexity against each setting, what mattered most first.

    Args:
        path: the PNG to write.
        results: `TrialResult` objects.
        config: `TrainingConfig` that the search started from.

    Returns:
        True, or False where matplotlib is not installed or there is nothing to draw.
    """
    shares = importance(results)
    if not shares:
        return False
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    shown = comparable(results)
    rows, columns = math.ceil(len(shares) / _COLUMNS), min(_COLUMNS, len(shares))
    figure = Figure(figsize=(max(6.8, 3.4 * columns), 2.9 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(shares) :]:
        axes.remove()
    for axes, (name, share) in zip(grid.flat, shares.items()):
        _draw_setting(axes, shown, name, config)
        axes.set_title(f"explains {share:.0%}", fontsize="medium")
    for axes in grid[:, 0]:
        axes.set_ylabel("validation perplexity")
    figure.suptitle(
        f"{len(shown)} trials of {shown[0].epochs} epochs; dotted: where the search started; "
        "orange: the best",
        fontsize="medium",
    )
    save_figure(figure, path)
    return True


def _draw_setting(axes, shown, name, config):
    from matplotlib.ticker import MaxNLocator, NullLocator

    best = min(shown, key=lambda result: result.perplexity)
    for result in shown:
        style = (_BEST, 6) if result is best else (_COLOR, 4)
        axes.plot(
            float(result.settings[name]),
            result.perplexity,
            "o",
            color=style[0],
            markersize=style[1],
            alpha=0.8,
        )
    axes.axvline(float(getattr(config, name)), color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel=name, yscale="log")
    if SPACES[name](config).log:
        axes.set_xscale("log")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def write_hparams(events, result):
    """Writes a trial's settings and perplexity for TensorBoard's HParams.

    Args:
        events: folder of the trial's events.
        result: `TrialResult`.

    Raises:
        OSError: if they could not be written.
    """
    from tensorboard.plugins.hparams import api

    try:
        writer = tf.summary.create_file_writer(str(events))
        with writer.as_default(step=result.epochs):
            api.hparams(result.settings, trial_id=result.trial_id)
            if result.perplexity is not None:
                tf.summary.scalar(OBJECTIVE, result.perplexity)
        writer.close()
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split())
        raise OSError(f"{events} cannot be written: {reason}") from error
