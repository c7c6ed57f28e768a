"""This library's training loop, `train_and_evaluate`, with a stopwatch in it.

Two short epochs on made-up text in a folder of their own. What the loop calls is wrapped where the
loop finds it; the loop itself runs as it is. The first epoch traces the graphs, the second is
measured: from the end of the first epoch's checkpoint to the end of the second's.
"""

import contextlib
import io
import tempfile
import time
from unittest import mock

import numpy as np
import tensorflow as tf

from awd_keras.data import Corpus, Vocabulary
from benchmarks import epoch
from benchmarks.implementations import awd_keras
from trainers.allocator import keep_freed_memory
from trainers.training import RunFolder, factory, loop, train_and_evaluate


class Implementation:
    """Runs the loop in the sizes of a workload."""

    def __init__(self, workload):
        keep_freed_memory()
        self.framework = f"TensorFlow {tf.__version__}"
        self._workload = workload
        # Checkpoints at the ends of epochs only: those are found again in the times.
        self._config = awd_keras.training_config(workload).replace(
            epochs=2,
            checkpoint_minutes=1e6,
            plot=False,
            validation_batch_size=10,
            test_batch_size=1,
        )

    def epoch(self, index, windows, validation_tokens):
        """Trains.

        Args:
            index: not used.
            windows: full windows that the training text is long.
            validation_tokens: length of the validation text.

        Returns:
            a dict: `wall`, seconds of the measured epoch; `parts`, seconds in each part; `counts`,
            how often each part was called; `windows` and `tokens` that it trained on.
        """
        workload, config = self._workload, self._config
        corpus = self._corpus(windows, validation_tokens)
        model = factory.build_model(config, workload.vocabulary_size)
        optimizer = factory.build_optimizer(config, model)
        watch = _Stopwatch()
        with tempfile.TemporaryDirectory() as path, watch.in_the_loop():
            train_and_evaluate(
                model, optimizer, corpus, config, RunFolder(f"{path}/run"), stream=io.StringIO()
            )
        start, end = watch.ends_of_checkpoints
        inside = [event for event in watch.events if start <= event[1] and event[2] <= end]
        parts = dict.fromkeys(epoch.PARTS, 0.0)
        counts = dict.fromkeys(epoch.PARTS, 0)
        for part, began, ended in inside:
            parts[part] += ended - began
            counts[part] += 1
        tokens = (len(corpus.train) // workload.batch_size - 1) * workload.batch_size
        return {"wall": end - start, "parts": parts, "counts": counts, "tokens": tokens}

    def _corpus(self, windows, validation_tokens):
        """Words by Zipf's law; the text of validation stands for the test's too."""
        workload = self._workload
        words = ["<unk>", "<eos>", *(f"w{i}" for i in range(2, workload.vocabulary_size))]
        train = np.concatenate([workload.text(i)[:, 1:].ravel() for i in range(windows)])
        # The first word of a column is only read.
        train = np.concatenate([train, train[: workload.batch_size]])
        validation = np.resize(train[::-1], validation_tokens)
        return Corpus(
            "made up",
            Vocabulary(words),
            train,
            validation,
            validation[:100],
            dict.fromkeys(("train", "validation", "test"), 0),
            "memory",
        )


class _Stopwatch:
    """Writes down `(part, start, end)` of every call of what it wraps."""

    def __init__(self):
        self.events, self.ends_of_checkpoints = [], []

    def wrap(self, part, function, after=None):
        def timed(*args, **kwargs):
            start = time.perf_counter()
            result = function(*args, **kwargs)
            if part == epoch.STEP:
                # A step is over when its loss can be read. The loop reads later: on a GPU it works
                # meanwhile, and what this shows as outside of the step is then an upper bound.
                float(result[0])
            self.events.append((part, start, time.perf_counter()))
            if after is not None:
                after(self.events[-1][2])
            return result

        return timed

    @contextlib.contextmanager
    def in_the_loop(self):
        """Inside, the parts of the loop are timed."""

        def make_step(*args, **kwargs):
            return self.wrap(epoch.STEP, make_train_step(*args, **kwargs))

        make_train_step = loop.make_train_step
        save_end = self.ends_of_checkpoints.append
        wrapped = [
            (loop, "save_training", epoch.CHECKPOINT, save_end),
            (loop, "save_weights", epoch.CHECKPOINT, None),
            (loop.PendingLosses, "check_weights", epoch.CHECKPOINT, None),
            (loop.PendingLosses, "read", epoch.LOG, None),
            (loop.MetricsLog, "write", epoch.LOG, None),
            (loop.MetricsLog, "live", epoch.LOG, None),
            (loop.Evaluator, "evaluate", epoch.VALIDATION, None),
        ]
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(loop, "make_train_step", make_step))
            for owner, name, part, after in wrapped:
                timed = self.wrap(part, getattr(owner, name), after)
                stack.enter_context(mock.patch.object(owner, name, timed))
            yield
