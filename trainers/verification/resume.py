"""A tiny run, unbroken and interrupted: bit for bit the same?"""

import io
import pathlib
import signal
import tempfile

import numpy as np

from awd_keras.data import Corpus
from trainers.config import TrainingConfig
from trainers.training import RunFolder, factory, read_checkpoint, train_and_evaluate
from trainers.verification.check import measured

CONFIG = TrainingConfig(
    corpus="text",
    embedding_dim=6,
    hidden_dim=8,
    num_layers=2,
    dropout_multiplier=0.2,
    learning_rate=10.0,
    epochs=2,
    batch_size=4,
    validation_batch_size=3,
    test_batch_size=2,
    bptt=10,
    bptt_std=2.0,
    bptt_min=3,
    logging_interval=4,
    trigger="epoch:1",
    seed=7,
    checkpoint_minutes=1000.0,
    tensorboard=False,
    plot=False,
)
# After which line of output each part of the interrupted run is stopped: at the second validation,
# in the middle of an epoch; as averaging starts, between two validations; and once it is under way.
INTERRUPTIONS = (2, 3, 3)


def synthetic_corpus(num_words=20):
    """Lines of eight words, of which most follow from the one before.

    Example:

    >>> synthetic_corpus().token_counts
    {'train': 561, 'validation': 126, 'test': 108}
    """
    generator = np.random.default_rng(5)

    def line():
        word, words = int(generator.integers(num_words)), []
        for _ in range(8):
            words.append(f"w{word}")
            is_random = generator.random() < 0.2
            word = int(generator.integers(num_words)) if is_random else 3 * word % num_words
        return " ".join(words)

    every = " ".join(f"w{word}" for word in range(num_words))
    texts = {
        name: [line() for _ in range(count)]
        for name, count in (("train", 60), ("validation", 14), ("test", 12))
    }
    texts["train"].insert(0, every)
    return Corpus.from_texts("synthetic", texts)


class InterruptingStream(io.StringIO):
    """Takes the lines of a run; with one of them comes Ctrl-C.

    Args:
        line: the number of that line, from 1; None for never.
    """

    def __init__(self, line=None):
        super().__init__()
        self._line = line
        self.interrupted = False

    def write(self, text):
        written = super().write(text)
        if self._line is not None and not self.interrupted:
            if self.getvalue().count("\n") >= self._line:
                self.interrupted = True
                signal.raise_signal(signal.SIGINT)
        return written


def train(path, config, corpus, line=None):
    """Trains in a folder, or goes on there, with everything made anew, as a new process would.

    Args:
        path: the run folder.
        config: `TrainingConfig`.
        corpus: `Corpus`.
        line: None, or the number of the line of output after which to interrupt.

    Returns:
        the step that was reached.

    Raises:
        KeyboardInterrupt: if somebody else interrupted.
        RuntimeError: if the interruption did not take place.
    """
    stream = InterruptingStream(line)
    model = factory.build_model(config, len(corpus.vocabulary))
    optimizer = factory.build_optimizer(config, model)
    folder = RunFolder(path)
    result = train_and_evaluate(model, optimizer, corpus, config, folder, stream=stream)
    if result.reason == "interrupted" and not stream.interrupted:
        raise KeyboardInterrupt
    if (result.reason == "interrupted") != (line is not None):
        raise RuntimeError(f"a run to be stopped after line {line} was {result.reason}")
    return read_checkpoint(folder.last_checkpoint)[1]["state"]["step"]


def different_arrays(path, other):
    """Compares the checkpoints of two runs: weights, slots, averages and carried states.

    Args:
        path, other: run folders.

    Returns:
        `(names of arrays that are not equal bit for bit, number of arrays)`.
    """
    names, count = [], 0
    for kind in ("last_checkpoint", "best_checkpoint"):
        arrays, others = (read_checkpoint(getattr(RunFolder(p), kind))[0] for p in (path, other))
        for name in sorted(set(arrays) | set(others)):
            a, b = arrays.get(name), others.get(name)
            count += 1
            if a is None or b is None or a.dtype != b.dtype or a.tobytes() != b.tobytes():
                names.append(f"{kind.partition('_')[0]}: {name}")
    return names, count


def different_rows(path, other):
    """Compares metrics.csv of two runs, but for the two columns that tell the time.

    Args:
        path, other: run folders.

    Returns:
        `(numbers of rows that differ, number of rows)`; the heading is row 0.
    """
    rows, others = (
        [line.rsplit(",", 2)[0] for line in RunFolder(p).metrics_file.read_text().splitlines()]
        for p in (path, other)
    )
    count = max(len(rows), len(others))
    return [i for i in range(count) if rows[i : i + 1] != others[i : i + 1]], count


def check_resume(config=CONFIG):
    """Trains a tiny model in a temporary folder, unbroken and interrupted, and compares the runs.

    Args:
        config: settings of the run.

    Yields:
        `Check`s.
    """
    config = config.replace(dtype=factory.resolve_dtype(config.dtype)[0])
    with tempfile.TemporaryDirectory() as temporary:
        unbroken, interrupted = (pathlib.Path(temporary) / n for n in ("unbroken", "interrupted"))

        def arrays():
            corpus = synthetic_corpus()
            train(unbroken, config, corpus)
            steps = [train(interrupted, config, corpus, line) for line in INTERRUPTIONS]
            train(interrupted, config, corpus)
            names, count = different_arrays(interrupted, unbroken)
            if not names:
                return 0, f"{count} arrays, stopped after steps {', '.join(map(str, steps))}"
            again = pathlib.Path(temporary) / "again"
            train(again, config, corpus)
            if different_arrays(again, unbroken)[0]:
                return len(names), "unbroken runs differ too: this device does not repeat itself"
            return len(names), f"of {count} arrays, the first {names[0]}"

        def rows():
            numbers, count = different_rows(interrupted, unbroken)
            return len(numbers), f"of {count} rows" + (f", row {numbers[0]}" if numbers else "")

        name = f"resume, {config.dtype}"
        check = measured(f"{name}: weights and averages that differ", 0, arrays)
        yield check
        if check.figure is not None:  # else there are no two runs to compare
            yield measured(f"{name}: rows of metrics.csv that differ", 0, rows)
