"""Compares an uninterrupted tiny run with one that is interrupted and resumed."""

import io
import pathlib
import signal
import tempfile

import numpy as np

from awd_keras.data import Corpus
from trainers.config import TrainingConfig
from trainers.training import RunFolder, factory, read_checkpoint, train_and_evaluate

_SIZES = {"embedding_dim": 6, "hidden_dim": 8, "num_layers": 2, "batch_size": 4, "bptt": 10}
_RUN = {"corpus": "text", "dtype": "float32", "epochs": 2, "logging_interval": 4}
CONFIG = TrainingConfig(**_SIZES, **_RUN, trigger="epoch:1", tensorboard=False, plot=False)


class _InterruptingStream(io.StringIO):
    """Sends SIGINT after a given line of progress output."""

    interrupting_line = None

    def write(self, text):
        super().write(text)
        if text.endswith("\n") and self.getvalue().count("\n") == self.interrupting_line:
            signal.raise_signal(signal.SIGINT)


def compare_runs():
    """Returns (name, resumed, uninterrupted) of all arrays of the last checkpoints of two runs."""
    words = np.random.default_rng(5).integers(10, size=(60, 8)).astype(str)
    lines = [" ".join(line) for line in words]
    texts = {"train": lines, "validation": lines[:14], "test": lines[:12]}
    corpus = Corpus.from_texts("synthetic", texts)

    def train(path, line=None):
        model = factory.build_model(CONFIG, len(corpus.vocabulary))
        optimizer = factory.build_optimizer(CONFIG, model)
        stream = _InterruptingStream()
        stream.interrupting_line = line
        train_and_evaluate(model, optimizer, corpus, CONFIG, RunFolder(path), stream=stream)

    with tempfile.TemporaryDirectory() as folder:
        unbroken, resumed = (pathlib.Path(folder) / name for name in ("unbroken", "resumed"))
        train(unbroken)
        for line in (2, 3, None):  # before and after averaging starts, then to the end
            train(resumed, line)
        expected, actual = (
            read_checkpoint(RunFolder(path).last_checkpoint)[0] for path in (unbroken, resumed)
        )
    return [(name, actual[name], expected[name]) for name in expected]
