"""The work of `trainers.learning_rate_range` (Smith 2015)."""

import os

import tensorflow as tf
from absl import flags

from awd_keras.data import batchify, load_corpus
from awd_keras.models.train_step import make_train_step
from trainers import config_flags
from trainers.errors import UserError
from trainers.training import curves, factory
from trainers.training.loop import training_windows
from trainers.training.progress import Progress
from trainers.training.run_folder import write_text

FLAGS = flags.FLAGS
_DEFAULTS = {"sgd": (0.1, 1000.0), "adam": (1e-5, 1.0)}


def main():
    """Runs the test and prints the learning rates to choose from."""
    config = config_flags.config_from_flags().replace(
        learning_rate_schedule="constant", momentum_min=None, epochs=FLAGS.num_steps
    )
    lowest, highest = _DEFAULTS[config.optimizer]
    lowest, highest = FLAGS.lowest_learning_rate or lowest, FLAGS.highest_learning_rate or highest
    if lowest >= highest:
        raise UserError(
            "--lowest_learning_rate must be below --highest_learning_rate. Received: "
            f"{lowest:g} and {highest:g}"
        )
    workdir = FLAGS.workdir or config_flags.default_workdir() + "-learning_rate_range"
    os.makedirs(workdir, exist_ok=True)
    corpus = load_corpus(
        config.corpus, config.data_dir, config.max_vocabulary_size, config.max_train_tokens
    )
    print(f"corpus: {corpus.describe()}", flush=True)
    factor = (highest / lowest) ** (1 / (FLAGS.num_steps - 1))
    rows = _train(config, corpus, [lowest * factor**step for step in range(FLAGS.num_steps)])
    lines = ["learning_rate,loss,smoothed_loss", *(",".join(map(repr, row)) for row in rows)]
    write_text(os.path.join(workdir, "learning_rate_range.csv"), "\n".join(lines) + "\n")
    steepest, best = suggest(rows)
    _draw(os.path.join(workdir, "learning_rate_range.png"), rows, steepest, best)
    print(f"ended after {len(rows)} steps, at learning rate {rows[-1][0]:.3g}; files in {workdir}")
    print(f"learning rate of the steepest fall: {steepest:.3g}")
    print(f"learning rate of the lowest loss: {best:.3g}")


def _train(config, corpus, rates):
    """Returns (learning rate, loss, smoothed loss) of each step."""
    columns = batchify(corpus.train, config.batch_size)
    if columns.shape[1] < 2:
        raise UserError(f"The training text is too short for batch_size={config.batch_size}.")
    model = factory.build_model(config, len(corpus.vocabulary))
    train_step = make_train_step(
        model,
        factory.build_optimizer(config, model),
        ar_alpha=config.ar_alpha,
        tar_beta=config.tar_beta,
        global_clipnorm=config.global_clipnorm,
        seed=config.seed,
    )
    rows, average, progress = [], 0.0, Progress()
    windows = training_windows(config, columns.shape[1] - 1)
    for step, (rate, window) in enumerate(zip(rates, windows)):
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
        progress.live(lambda: f"step {len(rows)} of {len(rates)}, loss {rows[-1][2]:.3f}")
        if not rows[-1][2] <= 1.5 * min(row[2] for row in rows):  # also for NaN
            break
    progress.close()
    return rows


def suggest(rows):
    """Returns the learning rates of the steepest fall and of the minimum of the smoothed loss.

    Args:
        rows: Tuples (learning rate, loss, smoothed loss).
    """
    smoothed = [row[2] for row in rows if row[2] == row[2]] or [0.0]
    best = smoothed.index(min(smoothed))
    # Falls over a tenth of the steps, because single steps are noisy. The first tenth is left out,
    # where the smoothed loss is the mean of few steps.
    width = max(1, len(rows) // 10)
    falls = {
        start + width // 2: smoothed[start] - smoothed[start + width]
        for start in range(min(width, max(best - width, 0)), max(best - width, 0) + 1)
        if start + width < len(smoothed)
    }
    return rows[max(falls, key=falls.get, default=best)][0], rows[best][0]


def _draw(path, rows, steepest, best):
    if curves.Figure is None:
        return
    figure = curves.Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="learning rate", ylabel="training loss")
    rates, losses, smoothed = zip(*rows, strict=True)
    axes.plot(rates, losses, alpha=0.25)
    axes.plot(rates, smoothed, color="C0", label="smoothed")
    axes.axvline(steepest, color="C2", linestyle="--", label=f"steepest fall: {steepest:.3g}")
    axes.axvline(best, color="C1", linestyle="--", label=f"lowest: {best:.3g}")
    axes.legend()
    curves.save_figure(figure, path)
