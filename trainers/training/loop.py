"""The training loop: windows, validation, NT-ASGD, checkpoints, results."""

import contextlib
import dataclasses
import io
import math
import time

import numpy as np
import tensorflow as tf

from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator
from awd_keras.models.train_step import make_train_step
from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from trainers.errors import NonFiniteLossError, UserError
from trainers.training import curves, factory
from trainers.training.checkpoint import TrainingState, save_weights
from trainers.training.distribution import Workers
from trainers.training.initial_weights import initialize_weights
from trainers.training.interruption import Interruption
from trainers.training.progress import MetricsLog, Progress
from trainers.training.schedule import learning_rate, momentum

# Steps between the exchanges in which workers agree on whether to stop.
_AGREEMENT_STEPS = 10
# Reading a loss from a GPU waits for its step, so several are read at once. The limit in seconds
# keeps the display current when steps are slow.
_READ_INTERVAL = 16
_READ_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """The outcome of a run, as in `results.json`."""

    reason: str  # "finished" or "interrupted"
    epochs: float  # an int if the last epoch is complete
    triggered_at_step: int | None  # step at which averaging started
    stopped_at_step: int | None  # step at which the trigger ended the run before its last epoch
    validation: EvaluationResult | None = None  # of the best weights; None if interrupted
    test: EvaluationResult | None = None  # the same; None if it was not evaluated

    def to_dict(self):
        """Returns the content of `results.json`."""
        texts = {"validation": self.validation, "test": self.test}
        return {
            **vars(self),
            **{text: result and result.to_dict() for text, result in texts.items()},
        }


@dataclasses.dataclass(frozen=True)
class Window:
    """A window of the training text."""

    epoch: int  # counted from 0
    start: int  # time steps of the text before the window
    length: int  # number of time steps
    is_last: bool  # whether the window ends the epoch


def training_windows(config, num_steps, epoch=0, position=0):
    """Generates the `Window`s of a text of `num_steps` time steps, from a position in an epoch."""
    names = ("bptt_std", "bptt_min", "bptt_max", "bptt_full_probability")
    options = {name: getattr(config, name) for name in names}
    for current in range(epoch, config.epochs):
        lengths = bptt_windows(num_steps, config.bptt, config.seed, current, **options)
        start = 0
        for length in lengths:
            if current > epoch or start >= position:
                yield Window(current, start, length, start + length == num_steps)
            start += length


def train_and_evaluate(
    model,
    optimizer,
    corpus,
    config,
    folder,
    *,
    baseline=None,
    stream=None,
    header=(),
    evaluate_test=True,
    forget_best=False,
):
    """Trains a model, or resumes its training, and evaluates the best weights.

    In the scope of a `tf.distribute` strategy, in which the model and the optimizer must have been
    created, the columns of the batch are split among its replicas. SIGINT and SIGTERM save a
    checkpoint and return without evaluating anything.

    Args:
        model: A new `AWDLSTMLanguageModel`.
        optimizer: An `NTASGD`, built for the model.
        corpus: A `Corpus`.
        config: A `TrainingConfig`.
        folder: The `RunFolder`, empty or of the run to resume.
        baseline: A tuple `(label, perplexity)` to draw in `curves.png`. Defaults to none.
        stream: A text stream for the progress. Defaults to standard output.
        header: Lines to print and log first.
        evaluate_test: Whether to evaluate the best weights on the test text. Defaults to `True`.
        forget_best: Whether a run whose best weights are lost is resumed. The weights that it
            resumes from are then the best so far. Defaults to `False`.

    Returns:
        A `TrainingResult`.

    Raises:
        UserError: If a text is too short, or the folder or a checkpoint cannot be used.
        NonFiniteLossError: If training diverged. The last checkpoint remains.
    """
    columns = training_columns(corpus, config)
    workers = Workers(tf.distribute.get_strategy())
    if not folder.last_checkpoint.exists():
        header = [*header, *initialize_weights(config, model, corpus)]
    with contextlib.ExitStack() as stack:
        if workers.is_chief:
            stack.enter_context(folder.lock())
            folder.check(config, corpus=corpus)
            folder.check_last()
            progress = Progress(folder.log_file, stream)
        else:
            progress = Progress(stream=io.StringIO())
        run = _Run(
            model, optimizer, corpus, columns, config, folder, progress, workers, forget_best
        )
        if workers.is_chief:  # and the last checkpoint can be read
            folder.begin(config, corpus)
        for line in header:
            progress.line(line)
        result = run.train(evaluate_test)
        if workers.is_chief and result.reason == "finished":
            folder.write_results(result.to_dict())
            rows = folder.read_metrics()
            if config.plot and rows and curves.matplotlib is not None:
                title = f"{corpus.name}, {config.num_layers} layers, {config.dtype}"
                curves.save_figure(
                    curves.make_figure({"": rows}, title, baseline), folder.curves_file
                )
                progress.line(f"curves: {folder.curves_file}")
        workers.wait()  # a worker that leaves early is an error for the others
    return result


def training_columns(corpus, config):
    """Splits the training text into columns; raises `UserError` if a text is too short."""
    for split, batch_size, timesteps in (
        ("train", config.batch_size, config.bptt),
        ("validation", config.validation_batch_size, 1),
        ("test", config.test_batch_size, 1),
    ):
        num_tokens = len(getattr(corpus, split))
        if num_tokens // batch_size < timesteps + 1:
            raise UserError(
                f"The {split} text of {corpus.name} must have at least {timesteps + 1} tokens per "
                f"column. Received: {num_tokens:,} tokens in {batch_size} columns. Choose a "
                f"smaller batch size{' or bptt' if split == 'train' else ''}."
            )
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if config.batch_size % num_replicas:
        raise UserError(
            f"batch_size must be a multiple of {num_replicas}, the number of replicas. Received: "
            f"batch_size={config.batch_size}"
        )
    return batchify(corpus.train, config.batch_size)


class PendingLosses:
    """Collects the losses of steps, reads them together and adds them to a `TrainingState`."""

    def __init__(self, config):
        self._config = config
        self._pending = []
        self._last_read = time.monotonic()
        self.recent = None

    def add(self, state, length, loss, norm):
        """Adds the loss and the gradient norm of the next step; returns whether to `read` now."""
        where = f"at step {state.step + 1:,} (epoch {state.epoch + 1}, {length} tokens/column)"
        self._pending.append((where, length * self._config.batch_size, loss, norm))
        is_slow = time.monotonic() - self._last_read >= _READ_SECONDS
        return is_slow or len(self._pending) >= _READ_INTERVAL

    def read(self, state):
        """Adds the pending losses to the sums of a state; raises `NonFiniteLossError`."""
        for where, num_tokens, loss, norm in self._pending:
            loss, norm = float(loss), float(norm)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise _diverged(self._config, f"{where}: loss {loss}, gradient norm {norm}")
            state.loss_sum += loss * num_tokens
            state.loss_tokens += num_tokens
            before = loss if self.recent is None else self.recent
            self.recent = before + 0.05 * (loss - before)
        self._pending.clear()
        self._last_read = time.monotonic()


def _check_weights(config, model, step):
    """Raises `NonFiniteLossError` unless all weights are finite."""
    for variable in model.weights:
        if not np.all(np.isfinite(variable.numpy())):
            raise _diverged(config, f"by step {step:,}: {variable.path} is not finite")


def _diverged(config, where):
    """Returns the error of a run that diverged."""
    return NonFiniteLossError(
        f"Training diverged {where}. Try a smaller learning rate than {config.learning_rate:g}. "
        "The last checkpoint, if any, was saved before that."
    )


class _Interrupted(Exception):
    """Ends the work in progress; the state is consistent."""


class _Run:
    """One call of `train_and_evaluate`."""

    def __init__(
        self, model, optimizer, corpus, columns, config, folder, progress, workers, forget_best
    ):
        self.model, self.optimizer = model, optimizer
        self.corpus, self.columns = corpus, columns
        self.config, self.folder, self.workers = config, folder, workers
        self.progress = progress
        self.interruption = Interruption()
        self.losses = PendingLosses(config)
        self.evaluator = Evaluator(model)
        self.train_step = make_train_step(model, optimizer, **factory.step_options(config))
        self.is_best_lost = False
        if folder.last_checkpoint.exists():
            self.state = TrainingState.load(folder.last_checkpoint, model, optimizer, config)
            try:
                folder.check_best(self.state.validated_at_step, self.state.best_loss)
            except UserError:
                if not forget_best:
                    raise
                self.is_best_lost, self.state.best_loss = True, None
        else:
            self.state = TrainingState.initial(model, config)
        self.num_steps = columns.shape[1] - 1
        self.log = MetricsLog(config, folder, progress, self.num_steps, self.state)
        self.saved, self.is_trained = time.monotonic(), False

    def train(self, evaluate_test):
        with self.interruption, contextlib.closing(self.progress):
            try:
                self._train()
                return self._finish(evaluate_test)
            except _Interrupted:
                if not self.is_trained:
                    self._save()
            self.progress.line(
                f"interrupted after step {self.state.step:,}; saved. Run the same command again to "
                "resume."
            )
            return self._result("interrupted")

    def _train(self):
        state = self.state
        self.workers.wait()  # until all have read the checkpoint
        if self.workers.is_chief:
            self.folder.truncate_metrics(state.validated_at_step)
            self.folder.restore_best()
            self.folder.results_file.unlink(missing_ok=True)
        if state.step:
            epochs = self.log.epochs(state)
            self.progress.line(f"resuming after step {state.step:,} ({epochs:.2f} epochs)")
            self._after_step()  # the validation may have been interrupted
        if state.best_loss is None and (self.is_best_lost or self.config.initial_run is not None):
            with self.optimizer.averaged_weights():
                result = self._evaluate_validation()
                state.best_loss = result.loss
                self._save_best(result)
            kind, origin = "best", self.config.initial_run
            if self.is_best_lost:
                kind, origin = "last", self.folder.path
            self.progress.line(
                f"starting from the {kind} weights of {origin}: validation perplexity "
                f"{result.perplexity:.2f}"
            )
            if self.is_best_lost:
                self._save()
        if self.config.trigger == "start":
            self._start_averaging("as requested, before the first step")
        for window in training_windows(self.config, self.num_steps, state.epoch, state.position):
            if state.stopped_at_step is not None:
                break
            if self._any_worker(self.interruption.requested):
                raise _Interrupted
            self._train_window(window)
            self._after_step(window.is_last)

    def _any_worker(self, flag):
        # Workers must act at the same step, and communicating at every step would take time.
        if self.workers.num_workers > 1 and self.state.step % _AGREEMENT_STEPS:
            return False
        return self.workers.any(flag)

    def _train_window(self, window):
        config, state = self.config, self.state
        start, end = window.start, window.start + window.length
        if config.momentum_min is not None:
            self.optimizer.optimizer.assign_momentum(momentum(config, state, self.num_steps))
        loss, norm, carried = self.train_step(
            tf.constant(self.columns[:, start:end]),
            tf.constant(self.columns[:, start + 1 : end + 1]),
            state.carried,
            tf.constant(self._learning_rate() * window.length / config.bptt, tf.float32),
            tf.constant(state.step, tf.int32),
        )
        is_time_to_read = self.losses.add(state, window.length, loss, norm)
        state.step += 1
        state.tokens += window.length * config.batch_size
        if window.is_last:
            carried = self.model.initial_state(config.batch_size)
            state.epoch, end = state.epoch + 1, 0
        state.carried, state.position = carried, end
        if is_time_to_read:
            self.losses.read(state)
            self.log.live(state, self.losses.recent)

    def _after_step(self, is_last=False):
        state, interval = self.state, self.config.logging_interval
        is_check = state.step % interval == 0 if interval else state.position == 0
        is_check = is_check and state.step != state.validated_at_step
        if is_check:
            self._validate()
        kind, _, epochs = self.config.trigger.partition(":")
        if kind == "epoch" and self.log.epochs(state) >= float(epochs):
            self._start_averaging(f"as requested, after epoch {epochs}")
        minutes = (time.monotonic() - self.saved) / 60
        if is_check or is_last or self._any_worker(minutes >= self.config.checkpoint_minutes):
            self._save()

    def _learning_rate(self):
        return learning_rate(self.config, self.state, self.num_steps)

    def _validate(self):
        state = self.state
        self.losses.read(state)
        averaging = self.optimizer.triggered
        raw = None if averaging and not self.config.validate_raw else self._evaluate_validation()
        with self.optimizer.averaged_weights():
            result = self._evaluate_validation() if averaging else raw
            if state.best_loss is None or result.loss < state.best_loss:
                state.best_loss = result.loss
                self._save_best(result)
        if self.workers.is_chief:
            num_averaged = self.optimizer.num_averaged if averaging else None
            self.log.write(state, self._learning_rate(), result, raw, num_averaged)
        state.loss_sum, state.loss_tokens = 0.0, 0
        state.validated_at_step = state.step
        self._update_trigger(result.loss, averaging)

    def _update_trigger(self, loss, averaging):
        state, config = self.state, self.config
        setting = config.stop if averaging else config.trigger
        if setting not in ("non_monotonic", "monotonic") or not state.trigger.update(loss):
            return
        reason = state.trigger.reason
        if averaging:
            state.stopped_at_step = state.step
            self.progress.line(f"stopping at step {state.step:,}: {reason}")
        elif config.trigger_action == "average":
            self._start_averaging(reason)
        else:
            before = self._learning_rate()
            state.num_reductions += 1
            # With the losses at the old rate on record, it would fire again at once.
            state.trigger = NonMonotonicTrigger(state.trigger.non_monotone_interval)
            self.progress.line(
                f"learning rate {before:g} -> {self._learning_rate():g} at step "
                f"{state.step:,}: {reason}"
            )

    def _start_averaging(self, reason):
        if self.state.triggered_at_step is None:
            self.optimizer.trigger()
            self.state.triggered_at_step = self.state.step
            self.state.trigger = NonMonotonicTrigger(self.config.non_monotone_interval)
            self.progress.line(f"averaging starts at step {self.state.step:,}: {reason}")

    def _evaluate_validation(self):
        """Evaluates the current weights on the chief; all workers get its result."""
        token_ids, batch_size = self.corpus.validation, self.config.validation_batch_size
        if self.workers.is_chief:
            result = self._evaluate("validating", token_ids, batch_size)
        else:
            result = EvaluationResult(0.0, batch_size * (len(token_ids) // batch_size - 1))
        total_loss = self.workers.of_chief(result.total_loss)
        result = dataclasses.replace(result, total_loss=total_loss)
        if not math.isfinite(result.loss):
            where = f"by step {self.state.step:,}: validation loss {result.loss}"
            raise _diverged(self.config, where)
        return result

    def _evaluate(self, what, token_ids, batch_size):
        def show(done, total):
            if self.interruption.requested and self.workers.num_workers == 1:
                raise _Interrupted
            self.progress.live(lambda: f"{what}: {done / total:4.0%} of {total:,} tokens")

        return self.evaluator.evaluate(token_ids, batch_size, show)

    def _save_best(self, result):
        if self.workers.is_chief:
            facts = {"step": self.state.step, "validation": dataclasses.asdict(result)}
            save_weights(self.folder.best_checkpoint, self.model, facts)

    def _save(self):
        self.losses.read(self.state)
        _check_weights(self.config, self.model, self.state.step)
        if self.workers.is_chief:
            self.state.seconds = self.log.seconds()
            self.state.save(self.folder.last_checkpoint, self.model, self.optimizer)
        self.saved = time.monotonic()

    def _finish(self, evaluate_test):
        """Evaluates the best weights."""
        self.is_trained, state = True, self.state  # which the last step has saved
        if state.validated_at_step != state.step:
            # These weights may be best, but an extended run must not know about this validation.
            with self.optimizer.averaged_weights():
                current = self._evaluate_validation()
                if state.best_loss is None or current.loss < state.best_loss:
                    if state.best_loss is not None and self.workers.is_chief:
                        self.folder.stash_best()
                    self._save_best(current)
        if not self.workers.is_chief:
            return self._result("finished")
        facts = self.folder.load_best(self.model)
        validation, test = EvaluationResult(**facts["validation"]), None
        if evaluate_test:
            batch_size = self.config.test_batch_size
            self.progress.line(
                f"evaluating the best weights (step {facts['step']:,}) on the test text ..."
            )
            test = self._evaluate("testing", self.corpus.test, batch_size)
        return self._result("finished", validation, test)

    def _result(self, reason, *results):
        state, epochs = self.state, self.log.epochs(self.state)
        return TrainingResult(
            reason, epochs, state.triggered_at_step, state.stopped_at_step, *results
        )
