"""What a run records at each validation: a row, a line, scalars for TensorBoard."""

import time

import tensorflow as tf

from awd_keras.evaluation.evaluate import perplexity
from trainers.training.progress import duration


class MetricsLog:
    """Writes `metrics.csv`, `events/` and the lines of `Progress`, and measures the time."""

    def __init__(self, config, folder, progress, steps_per_epoch, state):
        self._config = config
        self._folder = folder
        self._progress = progress
        self._steps_per_epoch = steps_per_epoch
        self._started = time.monotonic()
        self._seconds_before, self._tokens_before = state.seconds, state.tokens
        self._events = None

    def epochs(self, state):
        """Returns the epochs trained: an int if the last one is complete, else a float."""
        return state.epoch + (state.position and state.position / self._steps_per_epoch)

    def seconds(self):
        """Returns the seconds spent on the run, those before an interruption included."""
        return self._seconds_before + time.monotonic() - self._started

    def write(self, state, learning_rate, result, raw, num_averaged):
        """Records a validation.

        Args:
            state: `TrainingState`, with the losses since the last validation.
            learning_rate: Learning rate of a window of length bptt.
            result: `EvaluationResult` of the weights that count: averaged once averaging started.
            raw: `EvaluationResult` of the raw weights, or `None` if they were not evaluated.
            num_averaged: Number of steps in the average, or `None` before averaging started.
        """
        train_loss = state.loss_sum / state.loss_tokens
        epochs, seconds, rate = self.epochs(state), self.seconds(), self._rate(state)
        self._folder.append_metrics(
            {
                "epoch": round(epochs, 4),
                "step": state.step,
                "tokens": state.tokens,
                "learning_rate": learning_rate,
                "train_loss": train_loss,
                "validation_loss": result.loss,
                "validation_perplexity": result.perplexity,
                "raw_validation_perplexity": "" if raw is None else raw.perplexity,
                "averaging": int(num_averaged is not None),
                "seconds": round(seconds, 3),
                "tokens_per_second": round(rate, 1),
            }
        )
        if self._config.tensorboard:
            scalars = {
                "loss/train": train_loss,
                "loss/validation": result.loss,
                "perplexity/validation": result.perplexity,
                "speed/tokens_per_second": rate,
            }
            if raw is not None:
                scalars["perplexity/raw_validation"] = raw.perplexity
            self._write_events(state.step, scalars)
        note = "" if num_averaged is None else f" (average of {num_averaged:,} steps)"
        self._progress.line(
            f"epoch {epochs:6.2f}  step {state.step:7,}  train {perplexity(train_loss):7.2f}  "
            f"validation perplexity {result.perplexity:7.2f}{note}  {rate:,.0f} tokens/s  "
            f"{duration(seconds)} elapsed, {duration(self._seconds_left(state))} left"
        )

    def live(self, state, recent_loss):
        """Shows the progress of the current epoch."""
        self._progress.live(
            lambda: (
                f"epoch {state.epoch + 1}/{self._config.epochs}  "
                f"{state.position / self._steps_per_epoch:4.0%}  {self._rate(state):,.0f} tokens/s"
                f"  loss {recent_loss:.3f}  perplexity {perplexity(recent_loss):.1f}  "
                f"{duration(self._seconds_left(state))} left"
            )
        )

    def _write_events(self, step, scalars):
        if self._events is None:
            self._events = tf.summary.create_file_writer(str(self._folder.events))
        with self._events.as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._events.flush()

    def _rate(self, state):
        seconds = self.seconds() - self._seconds_before
        return (state.tokens - self._tokens_before) / max(seconds, 1e-9)

    def _seconds_left(self, state):
        tokens = self._config.epochs * self._steps_per_epoch * self._config.batch_size
        return max(0.0, tokens - state.tokens) / max(self._rate(state), 1e-9)
