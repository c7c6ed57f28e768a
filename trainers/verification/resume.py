"""A tiny run that was interrupted and resumed against an unbroken one, bit by bit."""

import io
import pathlib
import signal
import tempfile

import numpy as np

from awd_keras.data import Corpus
from trainers.config import TrainingConfig
from trainers.training import RunFolder, factory, read_checkpoint, train_and_evaluate

CONFIG = TrainingConfig(
    corpus="text",
    embedding_dim=6,
    hidden_dim=8,
    num_layers=2,
    learning_rate=10.0,
    epochs=2,
    batch_size=4,
    validation_batch_size=3,
    test_batch_size=2,
    bptt=10,
    logging_interval=4,
    trigger="epoch:1",
    dtype="float32",
    tensorboard=False,
    plot=False,
)


class _InterruptingStream(io.StringIO):
    """Receives the progress of a run and sends SIGINT with the n-th line."""

    def __init__(self, line):
        super().__init__()
        self._line = line

    def write(self, text):
        written = super().write(text)
        if text.endswith("\n") and self.getvalue().count("\n") == self._line:
            signal.raise_signal(signal.SIGINT)
        return written


def compare_runs():
    """Trains a tiny model twice, once without and once with two interruptions.

    Returns:
        List of (name, resumed, unbroken): all arrays of the last checkpoints.
    """
    generator = np.random.default_rng(5)
    texts = {
        split: [" ".join(f"w{i}" for i in generator.integers(10, size=8)) for _ in range(lines)]
        for split, lines in (("train", 60), ("validation", 14), ("test", 12))
    }
    corpus = Corpus.from_texts("synthetic", texts)

    def train(path, line=None):
        model = factory.build_model(CONFIG, len(corpus.vocabulary))
        optimizer = factory.build_optimizer(CONFIG, model)
        stream = _InterruptingStream(line)
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
