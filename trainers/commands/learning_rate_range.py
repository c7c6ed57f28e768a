"""Finds suitable learning rates by a range test."""

import math
import os

import numpy as np
import tensorflow as tf
from absl import flags

from awd_keras.atomic_write import atomic_write
from awd_keras.models.train_step import make_train_step
from trainers import config_flags
from trainers.errors import UserError
from trainers.training import curves, factory
from trainers.training.initial_weights import initialize_weights
from trainers.training.loop import training_columns, training_windows

FLAGS = flags.FLAGS
_DEFAULTS = {"sgd": (0.1, 1000.0), "adam": (1e-5, 1.0)}


def main():
    config = config_flags.config_from_flags().replace(
        learning_rate_schedule="constant", momentum_min=None, epochs=FLAGS.num_steps
    )
    lowest, highest = _DEFAULTS[config.optimizer]
    lowest, highest = FLAGS.lowest_learning_rate or lowest, FLAGS.highest_learning_rate or highest
    if not lowest < highest < math.inf:
        raise UserError(
            "--lowest_learning_rate must be below --highest_learning_rate, which must be finite. "
            f"Received: {lowest:g} and {highest:g}"
        )
    workdir = FLAGS.workdir or config_flags.default_workdir() + "-learning_rate_range"
    corpus = factory.build_corpus(config)
    columns = training_columns(corpus, config)
    os.makedirs(workdir, exist_ok=True)
    print(f"corpus: {corpus.describe()}", flush=True)
    rows = _train(config, corpus, columns, np.geomspace(lowest, highest, FLAGS.num_steps).tolist())
    with atomic_write(os.path.join(workdir, "learning_rate_range.csv")) as file:
        file.write("learning_rate,loss,smoothed_loss\n")
        file.writelines(",".join(map(repr, row)) + "\n" for row in rows)
    rates, losses, smoothed = np.transpose(rows)
    steepest, best = suggest(rates, smoothed)
    if curves.matplotlib is not None:
        figure = curves.Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot(xscale="log", xlabel="learning rate", ylabel="training loss")
        axes.plot(rates, losses, alpha=0.25)
        axes.plot(rates, smoothed, color="C0", label="smoothed")
        axes.axvline(steepest, color="C2", linestyle="--", label=f"steepest fall: {steepest:.3g}")
        axes.axvline(best, color="C1", linestyle="--", label=f"lowest loss: {best:.3g}")
        axes.legend()
        curves.save_figure(figure, os.path.join(workdir, "learning_rate_range.png"))
    print(f"{len(rows)} steps, up to learning rate {rates[-1]:.3g}; files in {workdir}")
    print(f"learning rate of the steepest fall: {steepest:.3g}")
    print(f"learning rate of the lowest loss: {best:.3g}")


def _train(config, corpus, columns, rates):
    """Returns (learning rate, loss, smoothed loss) of each step."""
    model = factory.build_model(config, len(corpus.vocabulary))
    initialize_weights(config, model, corpus)
    optimizer = factory.build_optimizer(config, model)
    train_step = make_train_step(model, optimizer, **factory.step_options(config))
    rows, average = [], 0.0
    windows = training_windows(config, columns.shape[1] - 1)
    for step, (rate, window) in enumerate(zip(rates, windows, strict=False)):
        if window.start == 0:
            states = model.initial_state(config.batch_size)
        inputs, targets = (
            tf.constant(columns[:, start : start + window.length])
            for start in (window.start, window.start + 1)
        )
        scaled = tf.constant(rate * window.length / config.bptt, tf.float32)
        loss, _, states = train_step(inputs, targets, states, scaled, tf.constant(step))
        average = 0.95 * average + 0.05 * float(loss)
        rows.append((rate, float(loss), average / (1 - 0.95 ** (step + 1))))
        if not rows[-1][2] <= 1.5 * min(row[2] for row in rows):  # also for NaN
            break
    return rows


def suggest(rates, smoothed):
    """Returns the learning rates of the steepest fall and of the minimum of the smoothed loss."""
    best = int(np.nanargmin(smoothed))
    # Compare losses a tenth of the steps apart: single steps are noisy, as is the first tenth.
    width = max(1, len(rates) // 10)
    falls = smoothed[width : best - width + 1] - smoothed[2 * width : best + 1]
    steepest = width + width // 2 + int(np.argmax(falls)) if len(falls) else best
    return rates[steepest], rates[best]
