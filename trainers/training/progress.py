"""The progress that a run displays, and the metrics that it records at each validation."""

import shutil
import sys
import time

import tensorflow as tf

from awd_keras.evaluation.evaluate import perplexity
from trainers.training.distribution import device_label

_TERMINAL_SECONDS = 0.5
_PLAIN_SECONDS = 60.0


class Progress:
    """Prints lines to a stream, by default standard output, and appends them to a log file.

    On a terminal the live line is overwritten in place; elsewhere it is printed once a minute.
    """

    def __init__(self, log_file=None, stream=None):
        self._stream = sys.stdout if stream is None else stream
        self._log_file = log_file
        self._is_terminal = self._stream.isatty()
        self._live_width = 0
        self._last_live = time.monotonic()

    def line(self, text=""):
        """Prints a permanent line."""
        self.close()
        print(text, file=self._stream, flush=True)
        if self._log_file is not None:
            with open(self._log_file, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    def live(self, make_text):
        """Replaces the live line with `make_text()`, unless it was updated only recently."""
        pause = _TERMINAL_SECONDS if self._is_terminal else _PLAIN_SECONDS
        if time.monotonic() - self._last_live < pause:
            return
        self._last_live = time.monotonic()
        if not self._is_terminal:
            self.line(make_text())
            return
        # A wrapped line could not be overwritten.
        text = make_text()[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + text.ljust(self._live_width))
        self._stream.flush()
        self._live_width = len(text)

    def close(self):
        """Erases the live line."""
        if self._live_width:
            self._stream.write("\r" + " " * self._live_width + "\r")
            self._stream.flush()
            self._live_width = 0


def duration(seconds):
    """Formats seconds as `M:SS` or `H:MM:SS`.

    Example:

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class MetricsLog:
    """Writes `metrics.csv`, `events/` and the lines of `Progress`, and measures the time."""

    def __init__(self, config, folder, progress, steps_per_epoch, state):
        self._config, self._folder, self._progress = config, folder, progress
        self._steps_per_epoch = steps_per_epoch
        self._started = time.monotonic()
        self._seconds_before, self._tokens_before = state.seconds, state.tokens
        self._events = None

    def epochs(self, state):
        """Returns the epochs trained: an int if the last one is complete, else a float."""
        return state.epoch + (state.position and state.position / self._steps_per_epoch)

    def seconds(self):
        """Returns the seconds spent on the run, including those before an interruption."""
        return self._seconds_before + time.monotonic() - self._started

    def write(self, state, learning_rate, result, raw, num_averaged):
        """Records a validation.

        `result` is that of the averaged weights once averaging has started, `raw` that of the raw
        weights or `None`, and `num_averaged` the number of steps in the average or `None`.
        """
        train_loss = state.loss_sum / state.loss_tokens
        epochs, seconds, rate = self.epochs(state), self.seconds(), self._rate(state)
        self._folder.append_metrics(
            epoch=round(epochs, 4),
            step=state.step,
            tokens=state.tokens,
            learning_rate=learning_rate,
            train_loss=train_loss,
            validation_loss=result.loss,
            validation_perplexity=result.perplexity,
            raw_validation_perplexity="" if raw is None else raw.perplexity,
            averaging=int(num_averaged is not None),
            seconds=round(seconds, 3),
            tokens_per_second=round(rate, 1),
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
            try:
                self._events = self._events or tf.summary.create_file_writer(
                    str(self._folder.events)
                )
                with self._events.as_default(step=state.step):
                    for name, value in scalars.items():
                        tf.summary.scalar(name, value)
                self._events.flush()
            except tf.errors.OpError as error:
                self._events = None
                self._progress.line(f"warning: no scalars for TensorBoard: {error.message}")
        note = "" if num_averaged is None else f" (average of {num_averaged:,} steps)"
        left = duration(self._seconds_left(state, self._config.epochs))
        self._progress.line(
            f"epoch {epochs:6.2f}  step {state.step:7,}  train {perplexity(train_loss):7.2f}  "
            f"validation perplexity {result.perplexity:7.2f}{note}  {rate:,.0f} tokens/s  "
            f"{duration(seconds)} elapsed, {left} left"
        )

    def live(self, state, recent_loss):
        """Shows the progress of the current epoch, if it is not over."""
        if state.epoch < self._config.epochs:
            self._progress.live(lambda: self._live_line(state, recent_loss))

    def _live_line(self, state, recent_loss):
        # What matters most comes first, since a narrow terminal cuts the line off.
        current = perplexity(recent_loss)
        return (
            f"epoch {state.epoch + 1}/{self._config.epochs}  "
            f"{state.position / self._steps_per_epoch:4.0%}  "
            f"{duration(self._seconds_left(state, state.epoch + 1))} left "
            f"(run {duration(self._seconds_left(state, self._config.epochs))})  "
            f"perplexity {current:{'.1f' if current < 10_000 else '.1e'}}  "
            f"{self._rate(state):,.0f} tokens/s, {device_label()}"
        )

    def _rate(self, state):
        seconds = self.seconds() - self._seconds_before
        return (state.tokens - self._tokens_before) / max(seconds, 1e-9)

    def _seconds_left(self, state, epochs):
        """Returns the estimated seconds until the given number of epochs is complete."""
        tokens = epochs * self._steps_per_epoch * self._config.batch_size
        return max(0.0, tokens - state.tokens) / max(self._rate(state), 1e-9)
