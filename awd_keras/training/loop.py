"""The training loop: windows in order, validation, NT-ASGD, checkpoints, an end."""

import contextlib
import dataclasses
import math
import signal
import threading
import time

import numpy as np
import tensorflow as tf

from awd_keras.config import ConfigError
from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator, perplexity
from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from awd_keras.training.curves import draw_curves
from awd_keras.training.progress import Progress, duration
from awd_keras.training.train_step import make_train_step
from awd_keras.training.training_state import (
    TrainingState,
    load_training,
    load_weights,
    save_training,
    save_weights,
)

# Losses wait so many steps before they are read: on a GPU, reading one waits for its step.
_READ_INTERVAL = 16


class NonFiniteLossError(ArithmeticError):
    """Training diverged: the loss or its gradient is no longer a number."""


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Args:
        reason: "finished" or "interrupted".
        epochs: epochs trained, a float if one is incomplete.
        triggered_at_step: step at which averaging was switched on, or None.
        validation: `EvaluationResult` of the best weights.
        test: the same on the test text.
    """

    reason: str
    epochs: float
    triggered_at_step: int | None
    validation: EvaluationResult
    test: EvaluationResult

    def to_dict(self):
        return {
            "reason": self.reason,
            "epochs": self.epochs,
            "triggered_at_step": self.triggered_at_step,
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
        }


def train_and_evaluate(model, optimizer, corpus, config, folder, baseline=None, stream=None):
    """Trains a model, or goes on with its training, and evaluates the best weights.

    Args:
        model: an `AWDLSTMLanguageModel`, fresh.
        optimizer: `NTASGD`, built for the model.
        corpus: `Corpus`.
        config: `TrainingConfig`.
        folder: `RunFolder`, of this run or empty.
        baseline: None, or `(label, perplexity)` to compare with in the picture.
        stream: text stream of the progress, by default standard output.

    Returns:
        `TrainingResult`. After an interruption (SIGINT or SIGTERM) its reason is "interrupted";
        the run can be continued.

    Raises:
        ConfigError: if the corpus is too short for the batch size and the window.
        CheckpointError: if the last checkpoint cannot be read.
        RunFolderError: if the run was made with another corpus.
        NonFiniteLossError: if training diverged; the last good checkpoint remains.
        OSError: if something could not be written; the files before remain.
    """
    columns = _columns(corpus, config)
    folder.begin(config, corpus)
    run = _Run(model, optimizer, corpus, columns, config, folder, baseline, stream)
    return run.train()


def _columns(corpus, config):
    """Cuts the training text, after a look at whether all three texts are long enough."""
    needs = (
        ("train", config.batch_size, config.bptt),
        ("validation", config.validation_batch_size, 1),
        ("test", config.test_batch_size, 1),
    )
    for split, batch_size, timesteps in needs:
        num_tokens = len(getattr(corpus, split))
        if num_tokens // batch_size < timesteps + 1:
            raise ConfigError(
                f"The {split} text of {corpus.name} is too short: {num_tokens:,} tokens in "
                f"{batch_size} columns, expected at least {timesteps + 1} tokens a column. Take "
                "a smaller batch size" + (" or bptt." if split == "train" else ".")
            )
    return batchify(corpus.train, config.batch_size)


class _Run:
    """One run of `train_and_evaluate`; its methods are the parts of the loop."""

    def __init__(self, model, optimizer, corpus, columns, config, folder, baseline, stream):
        self.model, self.optimizer, self.corpus = model, optimizer, corpus
        self.columns, self.config, self.folder, self.baseline = columns, config, folder, baseline
        interval = 0 if config.trigger == "monotonic" else config.non_monotone_interval
        self.trigger = NonMonotonicTrigger(interval)
        self.train_step = make_train_step(
            model,
            optimizer,
            ar_alpha=config.ar_alpha,
            tar_beta=config.tar_beta,
            global_clipnorm=config.global_clipnorm,
            seed=config.seed,
        )
        self.evaluator = Evaluator(model)
        self.progress = Progress(folder.log_file, stream)
        self.steps_per_epoch = columns.shape[1] - 1
        self.state = TrainingState()
        self.carried = model.initial_state(config.batch_size)
        self.unread = []
        self.stop = False
        self.checked_at_step = None
        self.recent_loss = None
        self.started = time.monotonic()
        self.saved = self.started
        self.events = None

    def train(self):
        if self.folder.last_checkpoint.exists():
            self.carried, self.state = load_training(
                self.folder.last_checkpoint, self.model, self.optimizer, self.trigger,
                self.config.batch_size)  # fmt: skip
            self.progress.line(
                f"continuing after step {self.state.step:,} ({self._epochs():.2f} epochs)"
            )
        self.folder.cut_metrics(self.state.step)
        self.folder.bring_best_back()
        self.started = self.saved = time.monotonic()
        self.seconds_before, self.tokens_before = self.state.seconds, self.state.tokens
        with self._stopping_on_signals(), contextlib.closing(self.progress):
            while self.state.epoch < self.config.epochs and not self.stop:
                self._train_epoch()
            if self.stop:
                self._save()
                self.progress.line(
                    f"interrupted after step {self.state.step:,}; saved. The same command goes "
                    f"on from here. Evaluating what there is (Ctrl-C again to leave at once) ..."
                )
            return self._finish("interrupted" if self.stop else "finished")

    @contextlib.contextmanager
    def _stopping_on_signals(self):
        """The first Ctrl-C ends after the current step, the second one at once."""

        def stop(number, frame):
            self.stop = True
            for which, handler in before.items():
                signal.signal(which, handler)

        before = {}
        if threading.current_thread() is threading.main_thread():
            for which in (signal.SIGINT, signal.SIGTERM):
                before[which] = signal.signal(which, stop)
        try:
            yield
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)

    def _train_epoch(self):
        config, state = self.config, self.state
        lengths = bptt_windows(
            self.steps_per_epoch, config.bptt, config.seed, state.epoch,
            bptt_std=config.bptt_std, bptt_min=config.bptt_min, bptt_max=config.bptt_max,
            bptt_full_probability=config.bptt_full_probability)  # fmt: skip
        while not self.stop:
            self._train_window(lengths[state.window])
            is_last = state.window == len(lengths)
            if is_last:
                self._end_epoch()
            if config.logging_interval:
                is_check = state.step % config.logging_interval == 0
            else:
                is_check = is_last
            if is_check:
                self._validate()
            if is_last and config.trigger == f"epoch:{state.epoch}":
                self._read_losses()
                self._start_averaging(f"as asked, after epoch {state.epoch}")
            minutes = (time.monotonic() - self.saved) / 60
            if is_check or is_last or minutes >= config.checkpoint_minutes:
                self._save()
            if is_last:
                return

    def _train_window(self, length):
        state = self.state
        start, end = state.position, state.position + length
        loss, norm, self.carried = self.train_step(
            tf.constant(self.columns[:, start:end]),
            tf.constant(self.columns[:, start + 1 : end + 1]),
            self.carried,
            tf.constant(self._learning_rate() * length / self.config.bptt, tf.float32),
            tf.constant(state.step, tf.int32),
        )
        self.unread.append((state.step, state.epoch, start, length, loss, norm))
        state.step += 1
        state.window += 1
        state.position = end
        state.tokens += length * self.config.batch_size
        if len(self.unread) >= _READ_INTERVAL:
            self._read_losses()
            self.progress.live(self._live_text)

    def _end_epoch(self):
        state = self.state
        state.epoch, state.window, state.position = state.epoch + 1, 0, 0
        self.carried = self.model.initial_state(self.config.batch_size)

    def _learning_rate(self):
        drops = sum(self.state.epoch >= epoch for epoch in self.config.learning_rate_drop_epochs)
        return self.config.learning_rate * 0.1**drops

    def _read_losses(self):
        """Takes the losses of the last steps, and stops a run that has diverged."""
        for step, epoch, start, length, loss, norm in self.unread:
            loss, norm = float(loss), float(norm)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self._diverged(
                    f"at step {step + 1:,} (epoch {epoch + 1}, window of {length} tokens at "
                    f"{start}): loss {loss}, gradient norm {norm}"
                )
            tokens = length * self.config.batch_size
            self.state.loss_sum += loss * tokens
            self.state.loss_tokens += tokens
            self.recent_loss = loss if self.recent_loss is None else (
                self.recent_loss + 0.05 * (loss - self.recent_loss))  # fmt: skip
        self.unread.clear()

    def _diverged(self, where):
        config, last = self.config, self.folder.last_checkpoint
        kept = f"The last good checkpoint is {last}." if last.exists() else "Nothing was saved yet."
        return NonFiniteLossError(
            f"Training diverged {where}. Settings: optimizer={config.optimizer}, "
            f"learning_rate={config.learning_rate}, global_clipnorm={config.global_clipnorm}, "
            f"dtype={config.dtype}, seed={config.seed}. Try a smaller learning rate. {kept}"
        )

    def _validate(self):
        """Measures the validation loss, writes a row, and asks the trigger."""
        self._read_losses()
        state, config = self.state, self.config
        seconds = self._seconds()
        raw = self._evaluate_validation()
        averaging = self.optimizer.triggered
        if averaging:
            with self.optimizer.averaged_weights():
                result = self._evaluate_validation()
                self._keep_if_best(result)
        else:
            result = raw
            self._keep_if_best(result)
        train_loss = state.loss_sum / state.loss_tokens
        epochs = self._epochs()
        rate = (state.tokens - self.tokens_before) / max(seconds - self.seconds_before, 1e-9)
        self.folder.append_metrics(
            {
                "epoch": round(epochs, 4) if epochs % 1 else int(epochs),
                "step": state.step,
                "tokens": state.tokens,
                "learning_rate": self._learning_rate(),
                "train_loss": train_loss,
                "validation_loss": result.loss,
                "validation_perplexity": result.perplexity,
                "raw_validation_perplexity": raw.perplexity,
                "averaging": int(averaging),
                "seconds": round(seconds, 3),
                "tokens_per_second": round(rate, 1),
            }
        )
        self._write_events(train_loss, result, raw, rate)
        state.loss_sum, state.loss_tokens = 0.0, 0
        self.checked_at_step = state.step
        note = f" (average of {self.optimizer.num_averaged:,} steps; raw {raw.perplexity:.2f})"
        self.progress.line(
            f"epoch {epochs:6.2f}  step {state.step:7,}  train {perplexity(train_loss):7.2f}  "
            f"validation perplexity {result.perplexity:7.2f}{note if averaging else ''}  "
            f"{rate:,.0f} tokens/s  {duration(seconds)} elapsed, "
            f"{duration(self._seconds_left(rate))} left"
        )
        if not averaging and config.trigger in ("non_monotonic", "monotonic"):
            record = list(self.trigger.record)
            if self.trigger.update(result.loss):
                n = self.trigger.non_monotone_interval
                earlier = record[: len(record) - n]
                self._start_averaging(
                    f"validation loss {result.loss:.4f} is above {min(earlier):.4f}, the smallest "
                    f"on record without the last {n}; record: "
                    + " ".join(f"{loss:.4f}" for loss in record)
                )

    def _evaluate_validation(self):
        result = self.evaluator.evaluate(self.corpus.validation, self.config.validation_batch_size)
        if not math.isfinite(result.loss):
            raise self._diverged(
                f"by step {self.state.step:,} (epoch {self._epochs():.2f}): validation loss "
                f"{result.loss}"
            )
        return result

    def _keep_if_best(self, result):
        state = self.state
        if state.best_loss is None or result.loss < state.best_loss:
            state.best_loss = result.loss
            self._save_best(result)

    def _save_best(self, result):
        facts = {"step": self.state.step, "validation": dataclasses.asdict(result)}
        save_weights(self.folder.best_checkpoint, self.model, facts)

    def _start_averaging(self, reason):
        if not self.optimizer.triggered:
            self.optimizer.trigger()
            self.state.triggered_at_step = self.state.step
            self.progress.line(f"averaging starts at step {self.state.step:,}: {reason}")

    def _save(self):
        self._read_losses()
        # The last step's loss is that of the weights before it.
        for variable in self.model.weights:
            if not np.all(np.isfinite(variable.numpy())):
                raise self._diverged(
                    f"by step {self.state.step:,} (epoch {self._epochs():.2f}): {variable.path} "
                    "is not finite"
                )
        self.state.seconds = self._seconds()
        save_training(
            self.folder.last_checkpoint, self.model, self.optimizer, self.trigger, self.carried,
            self.state)  # fmt: skip
        self.saved = time.monotonic()

    def _finish(self, reason):
        """Evaluates the best weights on both texts and writes the results."""
        has_best = self.folder.best_checkpoint.exists()
        if self.checked_at_step != self.state.step or not has_best:
            # The last weights were not validated yet. They may be the best, but they are on no
            # record: a run that goes on from here knows nothing of this.
            with self.optimizer.averaged_weights():
                current = self._evaluate_validation()
                if not has_best:
                    self._save_best(current)
                elif self.state.best_loss is None or current.loss < self.state.best_loss:
                    self.folder.set_best_aside()
                    self._save_best(current)
        facts = load_weights(self.folder.best_checkpoint, self.model)
        validation = EvaluationResult(**facts["validation"])
        self.progress.line(
            f"best weights: step {facts['step']:,}. Evaluating on the test text, batch size "
            f"{self.config.test_batch_size} ..."
        )
        test = self.evaluator.evaluate(self.corpus.test, self.config.test_batch_size)
        epochs = self._epochs()
        result = TrainingResult(
            reason, epochs if epochs % 1 else int(epochs), self.state.triggered_at_step,
            validation, test)  # fmt: skip
        self.folder.write_results(result.to_dict())
        self._draw()
        return result

    def _draw(self):
        if not self.config.plot:
            return
        title = f"{self.corpus.name}, {self.config.num_layers} layers, {self.config.dtype}"
        rows = self.folder.read_metrics()
        if draw_curves(self.folder.curves_file, rows, title, self.baseline):
            self.progress.line(f"curves: {self.folder.curves_file}")
        else:
            self.progress.line("curves: not drawn (no validation yet, or matplotlib is missing)")

    def _write_events(self, train_loss, result, raw, rate):
        if not self.config.tensorboard:
            return
        scalars = {
            "loss/train": train_loss,
            "loss/validation": result.loss,
            "perplexity/validation": result.perplexity,
            "perplexity/raw_validation": raw.perplexity,
            "speed/tokens_per_second": rate,
        }
        try:
            if self.events is None:
                self.events = tf.summary.create_file_writer(str(self.folder.events))
            with self.events.as_default(step=self.state.step):
                for name, value in scalars.items():
                    tf.summary.scalar(name, value)
            self.events.flush()
        except tf.errors.OpError as error:
            reason = " ".join(error.message.split())
            raise OSError(f"{self.folder.events} cannot be written: {reason}") from error

    def _epochs(self):
        return self.state.epoch + self.state.position / self.steps_per_epoch

    def _seconds(self):
        return self.seconds_before + time.monotonic() - self.started

    def _seconds_left(self, rate):
        tokens = self.config.epochs * self.steps_per_epoch * self.config.batch_size
        return max(0.0, tokens - self.state.tokens) / max(rate, 1e-9)

    def _live_text(self):
        seconds = self._seconds() - self.seconds_before
        rate = (self.state.tokens - self.tokens_before) / max(seconds, 1e-9)
        return (
            f"epoch {self.state.epoch + 1}/{self.config.epochs}  "
            f"{self.state.position / self.steps_per_epoch:4.0%}  {rate:,.0f} tokens/s  "
            f"loss {self.recent_loss:.3f}  perplexity {perplexity(self.recent_loss):.1f}  "
            f"{duration(self._seconds_left(rate))} left"
        )
