"""The training loop: windows in order, validation, NT-ASGD, checkpoints, an end."""

import contextlib
import dataclasses
import math
import time

import tensorflow as tf

from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator
from awd_keras.models.train_step import make_train_step
from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from trainers.errors import UserError
from trainers.training.curves import draw_curves
from trainers.training.divergence import PendingLosses
from trainers.training.folder_lock import folder_lock
from trainers.training.initial_run import load_initial_weights
from trainers.training.interruption import Interruption
from trainers.training.metrics_log import MetricsLog
from trainers.training.progress import Progress
from trainers.training.schedule import learning_rate, momentum, schedule_progress
from trainers.training.training_result import TrainingResult
from trainers.training.training_state import (
    TrainingState,
    load_training,
    load_weights,
    save_training,
    save_weights,
)
from trainers.training.workers import Workers

# Steps after which workers ask one another whether to stop, or to save.
_AGREEMENT_STEPS = 10


def train_and_evaluate(
    model, optimizer, corpus, config, folder, baseline=None, stream=None, header=()
):
    """Trains a model, or goes on with its training, and evaluates the best weights.

    Under a `tf.distribute` strategy, in whose scope model and optimizer were made, the columns of
    the batch are split over its replicas. Any number of them goes on with the run of another.

    Args:
        model: an `AWDLSTMLanguageModel`, fresh.
        optimizer: `NTASGD`, built for the model.
        corpus: `Corpus`.
        config: `TrainingConfig`.
        folder: `RunFolder`, of this run or empty.
        baseline: None, or `(label, perplexity)` to compare with in the picture.
        stream: text stream of the progress, by default standard output.
        header: lines that are printed and logged before all others.

    Returns:
        `TrainingResult`. After an interruption (SIGINT or SIGTERM) its reason is "interrupted";
        the run can be continued.

    Raises:
        UserError: if the corpus is too short for the batch size and the window.
        UserError: if the last checkpoint cannot be read, or the best of `initial_run`.
        UserError: if the run was made with another corpus, or `initial_run` was, or if another
            process works in the folder.
        NonFiniteLossError: if training diverged; the last good checkpoint remains.
        OSError: if something could not be written; the files before remain.
    """
    columns = _columns(corpus, config)
    if config.initial_run is not None and not folder.last_checkpoint.exists():
        load_initial_weights(config.initial_run, model, corpus)
    with folder_lock(folder.path):
        folder.begin(config, corpus)
        run = _Run(model, optimizer, corpus, columns, config, folder, baseline, stream)
        for line in header:
            run.progress.line(line)
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
            raise UserError(
                f"The {split} text of {corpus.name} is too short: {num_tokens:,} tokens in "
                f"{batch_size} columns, expected at least {timesteps + 1} tokens a column. Take "
                "a smaller batch size" + (" or bptt." if split == "train" else ".")
            )
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if config.batch_size % num_replicas:
        raise UserError(
            f"batch_size must be a multiple of the {num_replicas} replicas, which take as many "
            f"columns each. Received: batch_size={config.batch_size}"
        )
    return batchify(corpus.train, config.batch_size)


class _Run:
    """One run of `train_and_evaluate`; its methods are the parts of the loop."""

    def __init__(self, model, optimizer, corpus, columns, config, folder, baseline, stream):
        self.model, self.optimizer, self.corpus = model, optimizer, corpus
        self.columns, self.config, self.folder, self.baseline = columns, config, folder, baseline
        interval = 0 if config.trigger == "monotonic" else config.non_monotone_interval
        self.trigger = NonMonotonicTrigger(interval)
        self.stop_test = NonMonotonicTrigger(config.non_monotone_interval)
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
        self.interruption = Interruption()
        self.is_interruption_told = False
        self.workers = Workers(tf.distribute.get_strategy())
        self.losses = PendingLosses(config, folder, by_time=self.workers.num_workers == 1)
        self.is_stopping = False
        self.state = TrainingState()
        self.carried = model.initial_state(config.batch_size)
        self.checked_at_step = None

    def train(self):
        config, folder = self.config, self.folder
        exists = folder.last_checkpoint.exists()
        if exists:
            self.carried, self.state = load_training(
                folder.last_checkpoint, self.model, self.optimizer, self.trigger, config.batch_size
            )
            if self.state.stop_test is not None:
                self.stop_test.set_state(self.state.stop_test)
        folder.cut_metrics(self.state.step)
        folder.bring_best_back()
        steps_per_epoch = self.columns.shape[1] - 1
        self.log = MetricsLog(config, folder, self.progress, steps_per_epoch, self.state)
        if exists:
            epochs = self.log.epochs(self.state)
            self.progress.line(f"continuing after step {self.state.step:,} ({epochs:.2f} epochs)")
        self.saved = time.monotonic()
        with self.interruption, contextlib.closing(self.progress):
            if not exists:
                self._begin()
            while self.state.epoch < config.epochs and self._may_go_on():
                self._train_epoch()
            if self.is_stopping:
                self.is_interruption_told = True
                self._save()
                self.progress.line(
                    f"interrupted after step {self.state.step:,}; saved. The same command goes "
                    f"on from here. Evaluating what there is (Ctrl-C again to leave at once) ..."
                )
            return self._finish("interrupted" if self.is_stopping else "finished")

    def _begin(self):
        if self.config.initial_run is not None:
            result = self._evaluate_validation()
            self.state.best_loss = result.loss
            self._save_best(result)
            self.progress.line(
                f"starting from the best weights of {self.config.initial_run}: validation "
                f"perplexity {result.perplexity:.2f}"
            )
        if self.config.trigger == "start":
            self._start_averaging("as asked, before the first step")

    def _is_agreement_step(self):
        return self.workers.num_workers == 1 or self.state.step % _AGREEMENT_STEPS == 0

    def _is_time_to_save(self):
        minutes = (time.monotonic() - self.saved) / 60
        return self._is_agreement_step() and self.workers.any(
            minutes >= self.config.checkpoint_minutes
        )

    def _may_go_on(self):
        # Workers stop at the same step, whichever of them was asked to.
        if self._is_agreement_step():
            self.is_stopping = self.is_stopping or self.workers.any(self.interruption.requested)
        return not self.is_stopping and self.state.stopped_at_step is None

    def _train_epoch(self):
        config, state = self.config, self.state
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
        while self._may_go_on():
            self._train_window(lengths[state.window])
            is_last = state.window == len(lengths)
            if is_last:
                state.epoch, state.window, state.position = state.epoch + 1, 0, 0
                self.carried = self.model.initial_state(config.batch_size)
            if config.logging_interval:
                is_check = state.step % config.logging_interval == 0
            else:
                is_check = is_last
            if is_check:
                self._validate()
            if is_last and config.trigger == f"epoch:{state.epoch}":
                self._start_averaging(f"as asked, after epoch {state.epoch}")
            if self._is_time_to_save() or is_check or is_last:
                self._save()
            if is_last:
                return

    def _train_window(self, length):
        state = self.state
        start, end = state.position, state.position + length
        if self.config.momentum_min is not None:
            self.optimizer.optimizer.assign_momentum(momentum(self.config, self._progress()))
        loss, norm, self.carried = self.train_step(
            tf.constant(self.columns[:, start:end]),
            tf.constant(self.columns[:, start + 1 : end + 1]),
            self.carried,
            tf.constant(self._learning_rate() * length / self.config.bptt, tf.float32),
            tf.constant(state.step, tf.int32),
        )
        is_time_to_read = self.losses.add(state, length, loss, norm)
        state.step += 1
        state.window += 1
        state.position = end
        state.tokens += length * self.config.batch_size
        if is_time_to_read:
            self.losses.read(state)
            self.log.live(state, self.losses.recent)

    def _progress(self):
        state = self.state
        return schedule_progress(
            self.config, state.epoch, state.position, self.columns.shape[1] - 1
        )

    def _learning_rate(self):
        return learning_rate(
            self.config, self.state.epoch, self._progress(), self.state.num_reductions
        )

    def _validate(self):
        """Measures the validation loss, writes it down, and asks whether to average, to stop."""
        state = self.state
        self.losses.read(state)
        result = raw = self._evaluate_validation()
        averaging = self.optimizer.triggered
        with self.optimizer.averaged_weights():
            if averaging:
                result = self._evaluate_validation()
            if state.best_loss is None or result.loss < state.best_loss:
                state.best_loss = result.loss
                self._save_best(result)
        self.log.write(
            state, self._learning_rate(), result, raw, averaging, self.optimizer.num_averaged
        )
        state.loss_sum, state.loss_tokens = 0.0, 0
        self.checked_at_step = state.step
        if averaging and self.config.stop == "non_monotonic":
            reason = _ask(self.stop_test, result.loss)
            state.stop_test = self.stop_test.get_state()
            if reason:
                state.stopped_at_step = state.step
                self.progress.line(f"done at step {state.step:,}: {reason}")
        elif not averaging and self.config.trigger in ("non_monotonic", "monotonic"):
            reason = _ask(self.trigger, result.loss)
            if reason and self.config.trigger_action == "average":
                self._start_averaging(reason)
            elif reason:
                self._reduce_learning_rate(reason)

    def _start_averaging(self, reason):
        if not self.optimizer.triggered:
            self.optimizer.trigger()
            self.state.triggered_at_step = self.state.step
            self.progress.line(f"averaging starts at step {self.state.step:,}: {reason}")

    def _reduce_learning_rate(self, reason):
        before = self._learning_rate()
        self.state.num_reductions += 1
        # A new record: losses at the rate before would fire it again at once.
        self.trigger = NonMonotonicTrigger(self.trigger.non_monotone_interval)
        self.progress.line(
            f"learning rate {before:g} -> {self._learning_rate():g} at step "
            f"{self.state.step:,}: {reason}"
        )

    def _evaluate_validation(self):
        result = self._evaluate(
            "validating", self.corpus.validation, self.config.validation_batch_size
        )
        if not math.isfinite(result.loss):
            raise self.losses.error(f"by step {self.state.step:,}: validation loss {result.loss}")
        return result

    def _evaluate(self, what, token_ids, batch_size):
        """Evaluates the weights as they are; it may take minutes, in which somebody looks on."""

        def show(done, total):
            if self.interruption.requested and not self.is_interruption_told:
                self.is_interruption_told = True
                self.progress.line(
                    f"interrupted while {what}: this goes on to its end, what is trained is kept "
                    "(Ctrl-C again to leave at once) ..."
                )
            self.progress.live(
                lambda: f"{what}: {done / total:4.0%} of {total:,} tokens", only_on_terminal=True
            )

        result = self.evaluator.evaluate(token_ids, batch_size, show)
        return dataclasses.replace(result, total_loss=self.workers.of_chief(result.total_loss))

    def _save_best(self, result):
        facts = {"step": self.state.step, "validation": dataclasses.asdict(result)}
        save_weights(self.folder.best_checkpoint, self.model, facts)

    def _save(self):
        self.losses.read(self.state)
        self.losses.check_weights(self.model, self.state)
        self.state.seconds = self.log.seconds()
        save_training(
            self.folder.last_checkpoint,
            self.model,
            self.optimizer,
            self.trigger,
            self.carried,
            self.state,
        )
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
        self.progress.line(
            f"best weights: step {facts['step']:,}. Evaluating on the test text, batch size "
            f"{self.config.test_batch_size} ..."
        )
        result = TrainingResult(
            reason=reason,
            epochs=self.log.epochs(self.state),
            triggered_at_step=self.state.triggered_at_step,
            stopped_at_step=self.state.stopped_at_step,
            validation=EvaluationResult(**facts["validation"]),
            test=self._evaluate("testing", self.corpus.test, self.config.test_batch_size),
        )
        self.folder.write_results(result.to_dict())
        if self.config.plot:
            self._draw()
        return result

    def _draw(self):
        title = f"{self.corpus.name}, {self.config.num_layers} layers, {self.config.dtype}"
        rows = self.folder.read_metrics()
        if draw_curves(self.folder.curves_file, rows, title, self.baseline):
            self.progress.line(f"curves: {self.folder.curves_file}")
        else:
            self.progress.line("curves: not drawn (no validation yet, or matplotlib is missing)")


def _ask(trigger, loss):
    """Puts a loss on a trigger's record; returns why it fires, None if it does not."""
    record = list(trigger.record)
    if not trigger.update(loss):
        return None
    n = trigger.non_monotone_interval
    without = f" without the last {n}" if n else ""
    return (
        f"validation loss {loss:.4f} is above {min(record[: len(record) - n]):.4f}, the "
        f"smallest on record{without}; record: " + " ".join(f"{earlier:.4f}" for earlier in record)
    )
