"""The learning-rate range test (Smith 2015): steps at growing learning rates, until they fail."""

import csv
import dataclasses
import io
import json
import math
import time

import tensorflow as tf

from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.models.train_step import make_train_step
from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from trainers.errors import UserError
from trainers.training.folder_lock import folder_lock
from trainers.training.interruption import Interruption
from trainers.training.progress import duration
from trainers.training.run_folder import RunFolder, write_beside
from trainers.training.training_state import TrainingState, load_training, save_training

COLUMNS = ("step", "learning_rate", "loss", "smoothed_loss")
# Weight of the past in the smoothed loss, and how much above its smallest it means the end.
_SMOOTHING = 0.95
_END_FACTOR = 1.5


@dataclasses.dataclass(frozen=True)
class LearningRateRange:
    """The settings of a range test.

    Args:
        lowest: learning rate of the first step.
        highest: learning rate of the last step.
        num_steps: how many steps lie between them, each faster by the same factor.

    Raises:
        UserError: naming the setting, what was expected and what was received.

    Example:

    >>> [LearningRateRange(0.1, 10.0, 3).learning_rate(step) for step in range(3)]
    [0.1, 1.0, 10.0]
    """

    lowest: float
    highest: float
    num_steps: int

    def __post_init__(self):
        if not 0 < self.lowest < self.highest < math.inf:
            raise UserError(
                "lowest_learning_rate must be above 0 and below highest_learning_rate. Received: "
                f"lowest_learning_rate={self.lowest}, highest_learning_rate={self.highest}"
            )
        if self.num_steps < 2:
            raise UserError(f"num_steps must be at least 2. Received: num_steps={self.num_steps}")

    def learning_rate(self, step):
        """The learning rate of a step, counted from 0."""
        return self.lowest * (self.highest / self.lowest) ** (step / (self.num_steps - 1))


class RangeFolder(RunFolder):
    """A `RunFolder` whose settings lie in range_config.json.

    By its config.json a folder is known as a run of training. A range test is none: neither may go
    on in the other's folder, however equal their settings are.

    Args:
        path: the folder.
    """

    def __init__(self, path):
        super().__init__(path)
        self.config_file = self.path / "range_config.json"

    def check(self, config=None):
        if self.path.is_dir() and not self.config_file.exists():
            begun = {f"{self.config_file.name}.partial"}
            if {path.name for path in self.path.iterdir()} - begun:
                raise UserError(
                    f"{self.path} is not empty and holds no {self.config_file.name}, so it is not "
                    "a range test's. Choose another folder by --workdir; nothing was changed."
                )
        return super().check(config)


def learning_rate_range_test(model, optimizer, corpus, config, folder, rates, progress):
    """Trains for a few hundred steps at growing learning rates, or goes on with that.

    The steps are those of training, with windows, masks and penalties of the same settings, but
    for the learning rate. It ends after the last step, or where the smoothed loss is half as large
    again as its smallest, or where the loss is no longer a number.

    Args:
        model: an `AWDLSTMLanguageModel`, fresh.
        optimizer: `NTASGD`, built for the model; nothing is averaged.
        corpus: `Corpus`.
        config: `TrainingConfig`.
        folder: `RangeFolder` of this test, or any `RunFolder` that is empty.
        rates: `LearningRateRange`.
        progress: `Progress`.

    Returns:
        `(rows, reason)`: a dictionary of `COLUMNS` for each step, and why it ended: "finished",
        "diverged" or "interrupted". The folder has both, in learning_rate_range.csv and .json.

    Raises:
        UserError: if the training text is too short for the batch size and the window.
        UserError: if the folder holds another test, or another process works in it.
        UserError: if the checkpoint of a test to go on with cannot be read.
        OSError: if something could not be written.
    """
    folder = RangeFolder(folder.path)
    test = _RangeTest(model, optimizer, corpus, config, folder, rates, progress)
    with folder_lock(folder.path):
        return test.run()


def suggest(rows):
    """Learning rates to choose from.

    Args:
        rows: as `learning_rate_range_test` returns them.

    Returns:
        a dictionary: `steepest`, where the smoothed loss falls fastest per factor of the learning
        rate, and `lowest_loss`, where it is smallest; a constant rate is best between the two, the
        peak of one_cycle near the second. Empty where there are too few steps.
    """
    rows = [row for row in rows if math.isfinite(row["smoothed_loss"])]
    if len(rows) < 5:
        return {}
    lowest = min(range(len(rows)), key=lambda index: rows[index]["smoothed_loss"])
    # Differences over a tenth of the steps: single ones are noise. The first tenth is left out,
    # where the smoothed loss is the mean of few.
    width = max(1, len(rows) // 10)
    starts = range(min(width, max(lowest - width, 0)), max(lowest - width, 0) + 1)
    falls = {
        start + width // 2: rows[start]["smoothed_loss"] - rows[start + width]["smoothed_loss"]
        for start in starts
    }
    steepest = max(falls, key=falls.get)
    return {
        "steepest": rows[steepest]["learning_rate"],
        "lowest_loss": rows[lowest]["learning_rate"],
    }


class _RangeTest:
    """One range test; its methods are its parts."""

    def __init__(self, model, optimizer, corpus, config, folder, rates, progress):
        if len(corpus.train) // config.batch_size < config.bptt + 1:
            raise UserError(
                f"The train text of {corpus.name} is too short: {len(corpus.train):,} tokens in "
                f"{config.batch_size} columns, expected at least {config.bptt + 1} tokens a "
                "column. Take a smaller batch size or bptt."
            )
        self.model, self.optimizer, self.config = model, optimizer, config
        self.corpus, self.folder, self.rates, self.progress = corpus, folder, rates, progress
        self.settings_file = folder.path / "learning_rate_range.json"
        # Apart from `last`: nobody should train on from here.
        self.checkpoint = folder.path / "checkpoints" / "range" / "checkpoint.npz"
        self.rows_file = folder.path / "learning_rate_range.csv"
        self.columns = batchify(corpus.train, config.batch_size)
        self.train_step = make_train_step(
            model,
            optimizer,
            ar_alpha=config.ar_alpha,
            tar_beta=config.tar_beta,
            global_clipnorm=config.global_clipnorm,
            seed=config.seed,
        )
        self.state = TrainingState()
        self.carried = model.initial_state(config.batch_size)
        self.trigger = NonMonotonicTrigger()  # a part of every checkpoint; never asked
        self.rows, self.average = [], 0.0

    def run(self):
        done = self._begin()
        if done:
            return self.rows, done
        started, saved = time.monotonic(), time.monotonic()
        first, reason = self.state.step, "finished"
        with Interruption() as interruption:
            for length in self._lengths():
                if self.state.step == self.rates.num_steps:
                    break
                if interruption.requested:
                    reason = "interrupted"
                    break
                self._step(length)
                if self._has_failed():
                    reason = "diverged"
                    break
                self.progress.live(lambda: self._live(started, first))
                if (time.monotonic() - saved) / 60 >= self.config.checkpoint_minutes:
                    self._save()
                    saved = time.monotonic()
            if reason == "interrupted":
                self._save()
        self.progress.close()
        self._write(reason)
        return self.rows, reason

    def _begin(self):
        """Finds out where the test is; returns why it ended, if it has."""
        exists = self.folder.check(self.config)
        settings = dataclasses.asdict(self.rates)
        if exists:
            try:
                content = json.loads(self.settings_file.read_text(encoding="utf-8"))
                recorded, reason = content["range"], content["reason"]
            except FileNotFoundError:
                recorded, reason = None, "started"
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{self.settings_file} cannot be read: {error!r}. Move {self.folder.path} "
                    "away, or choose another folder by --workdir."
                ) from None
            if recorded not in (None, settings):
                raise UserError(
                    f"{self.folder.path} holds a range test of {recorded}. Received: {settings}. "
                    "Choose another folder by --workdir."
                )
        self.folder.begin(self.config, self.corpus)
        if exists and reason in ("finished", "diverged"):
            self._restore_rows(None)
            return reason
        if not self.checkpoint.exists():
            self._write("started")
            return None
        self.carried, self.state = load_training(
            self.checkpoint, self.model, self.optimizer, self.trigger, self.config.batch_size
        )
        self._restore_rows(self.state.step)
        self.progress.line(f"continuing after step {self.state.step:,}")
        return None

    def _restore_rows(self, num_steps):
        for row in self._read_rows()[:num_steps]:
            self._add(row["loss"])

    def _read_rows(self):
        try:
            with open(self.rows_file, newline="", encoding="utf-8") as file:
                rows = [
                    {name: float(row[name]) for name in COLUMNS} for row in csv.DictReader(file)
                ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.rows_file} cannot be read: {error!r}.") from None
        if len(rows) < self.state.step:
            raise UserError(
                f"{self.rows_file} has {len(rows)} steps, expected {self.state.step}: those of "
                f"the checkpoint {self.checkpoint}."
            )
        return rows

    def _lengths(self):
        """The windows of epoch after epoch, from where the state is."""
        config, state = self.config, self.state
        while True:
            lengths = bptt_windows(
                self.columns.shape[1] - 1,
                config.bptt,
                config.seed,
                state.epoch,
                bptt_std=config.bptt_std,
                bptt_min=config.bptt_min,
                bptt_max=config.bptt_max,
                bptt_full_probability=config.bptt_full_probability,
            )
            yield from lengths[state.window :]
            state.epoch, state.window, state.position = state.epoch + 1, 0, 0
            self.carried = self.model.initial_state(config.batch_size)

    def _step(self, length):
        state = self.state
        end = state.position + length
        rate = self.rates.learning_rate(state.step) * length / self.config.bptt
        loss, _, self.carried = self.train_step(
            tf.constant(self.columns[:, state.position : end]),
            tf.constant(self.columns[:, state.position + 1 : end + 1]),
            self.carried,
            tf.constant(rate, tf.float32),
            tf.constant(state.step, tf.int32),
        )
        state.step, state.window, state.position = state.step + 1, state.window + 1, end
        self._add(float(loss))

    def _add(self, loss):
        step = len(self.rows)
        self.average = _SMOOTHING * self.average + (1 - _SMOOTHING) * loss
        self.rows.append(
            {
                "step": step,
                "learning_rate": self.rates.learning_rate(step),
                "loss": loss,
                "smoothed_loss": self.average / (1 - _SMOOTHING ** (step + 1)),
            }
        )

    def _has_failed(self):
        smoothed = [row["smoothed_loss"] for row in self.rows]
        return not smoothed[-1] <= _END_FACTOR * min(smoothed)  # so that NaN fails too

    def _live(self, started, first):
        done, row = self.state.step, self.rows[-1]
        left = (time.monotonic() - started) / (done - first) * (self.rates.num_steps - done)
        return (
            f"step {done:,}/{self.rates.num_steps:,}  learning rate {row['learning_rate']:.3g}  "
            f"loss {row['smoothed_loss']:.3f}  {duration(left)} left"
        )

    def _save(self):
        # The rows first: a checkpoint finds all of its own there.
        self._write("started")
        save_training(
            self.checkpoint, self.model, self.optimizer, self.trigger, self.carried, self.state
        )

    def _write(self, reason):
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_beside(self.rows_file, text.getvalue())
        content = {"range": dataclasses.asdict(self.rates), "reason": reason, **suggest(self.rows)}
        write_beside(self.settings_file, json.dumps(content, indent=2) + "\n")
