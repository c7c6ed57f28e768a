"""What the tests of training share: a tiny corpus, tiny settings, and whole runs in a second."""

import contextlib
import hashlib
import io
import os
import signal
from unittest import mock

import numpy as np

from awd_keras.data import Corpus
from awd_keras.evaluation import Evaluator
from awd_keras.models.train_step import make_train_step
from trainers.config import TrainingConfig
from trainers.training import RunFolder, factory, loop, read_checkpoint, train_and_evaluate

WORDS = 20

# By name: settings whose runs are stopped and compared. The trigger fires in each but `never`.
SETTINGS = {
    "often": {"logging_interval": 4, "non_monotone_interval": 1, "learning_rate": 20.0},
    "epoch": {"trigger": "epoch:1"},
    "monotonic": {"trigger": "monotonic", "logging_interval": 3, "learning_rate": 20.0},
    "never": {"trigger": "never", "logging_interval": 7, "learning_rate_drop_epochs": (1, 2)},
}

TRAINING = {"epochs": 10, "logging_interval": 7}
FINE_TUNING = {
    **TRAINING,
    "epochs": 20,
    "trigger": "start",
    "stop": "non_monotonic",
    "non_monotone_interval": 2,
    "learning_rate": 30.0,
}

# What results.json has of a run that is finished.
RESULTS = {
    "reason": "finished",
    "epochs": 3,
    "triggered_at_step": None,
    "validation": {"perplexity": 9.0},
    "test": {"perplexity": 8.5},
}


def make_lines(num_lines, seed):
    """Lines of eight words, of which most follow from the one before."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(num_lines):
        word, words = int(generator.integers(WORDS)), []
        for _ in range(8):
            words.append(f"w{word}")
            word = int(generator.integers(WORDS)) if generator.random() < 0.2 else 3 * word % WORDS
        lines.append(" ".join(words))
    return lines


def make_texts():
    # The first line of the training text has every word.
    every = " ".join(f"w{word}" for word in range(WORDS))
    return {
        "train": [every, *make_lines(60, 1)],
        "validation": make_lines(14, 2),
        "test": make_lines(12, 3),
    }


def make_corpus(texts=None):
    return Corpus.from_texts("tiny", texts or make_texts())


def make_config(**changes):
    """About fourteen windows an epoch; nothing drawn, no TensorBoard."""
    settings = {
        "corpus": "text",
        "embedding_dim": 6,
        "hidden_dim": 8,
        "num_layers": 2,
        "dtype": "float32",
        "dropout_multiplier": 0.2,
        "learning_rate": 10.0,
        "epochs": 3,
        "batch_size": 4,
        "validation_batch_size": 3,
        "test_batch_size": 2,
        "bptt": 10,
        "bptt_std": 2.0,
        "bptt_min": 3,
        "seed": 7,
        "checkpoint_minutes": 1000.0,
        "tensorboard": False,
        "plot": False,
    }
    return TrainingConfig(**{**settings, **changes})


def fine_tuning(initial, **changes):
    """The settings of a run that goes on from the weights of another, in folder `initial`."""
    return make_config(initial_run=str(initial), **{**FINE_TUNING, **changes})


def make_model(config, vocabulary_size=WORDS + 1):
    """Model and optimizer as new ones are: the objects, once traced, serve again.

    All that they remember is in their variables, which are set back.
    """
    key = config.replace(
        **dict.fromkeys(("epochs", "logging_interval"), 1),
        trigger="never",
        trigger_action="average",
        stop="never",
        initial_run=None,
        non_monotone_interval=1,
        learning_rate=1.0,
        plot=False,
        tensorboard=False,
        checkpoint_minutes=1.0,
    )
    key = (key, vocabulary_size)
    if key not in _MADE:
        model = factory.build_model(config, vocabulary_size)
        optimizer = factory.build_optimizer(config, model)
        variables = [*model.weights, *optimizer.variables]
        _MADE[key] = model, optimizer, variables, [v.numpy() for v in variables]
    model, optimizer, variables, initial = _MADE[key]
    for variable, value in zip(variables, initial):
        variable.assign(value)
    return model, optimizer


_MADE, _STEPS, _EVALUATORS = {}, {}, {}


def _step_once(model, optimizer, **kwargs):
    key = (id(model), *kwargs.values())
    if key not in _STEPS:
        _STEPS[key] = make_train_step(model, optimizer, **kwargs)
    return _STEPS[key]


def _evaluator_once(model):
    return _EVALUATORS.setdefault(id(model), Evaluator(model))


def run(path, config, corpus=None, stream=None):
    """One call of `train_and_evaluate` with model and optimizer as they are at first."""
    corpus = make_corpus() if corpus is None else corpus
    model, optimizer = make_model(config)
    stream = io.StringIO() if stream is None else stream
    with mock.patch.object(loop, "Evaluator", _evaluator_once):
        if loop.make_train_step is make_train_step:
            with mock.patch.object(loop, "make_train_step", _step_once):
                return train_and_evaluate(
                    model, optimizer, corpus, config, RunFolder(path), stream=stream
                )
        return train_and_evaluate(model, optimizer, corpus, config, RunFolder(path), stream=stream)


@contextlib.contextmanager
def after_each_step(action):
    """Calls `action(number of the step, from 1)` after each training step inside."""

    def make(model, optimizer, **kwargs):
        train_step = _step_once(model, optimizer, **kwargs)

        def step_and_act(inputs, targets, states, learning_rate, step):
            results = train_step(inputs, targets, states, learning_rate, step)
            action(int(step) + 1)
            return results

        return step_and_act

    with mock.patch.object(loop, "make_train_step", make):
        yield


def interrupt_after(step):
    """Inside, Ctrl-C comes in a step of training."""

    def act(number):
        if number == step:
            os.kill(os.getpid(), signal.SIGINT)

    return after_each_step(act)


def digests(path):
    """What a folder holds: the SHA-256 of each file below it."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }


def rows_without_times(folder):
    """Rows of metrics.csv, as text, without the two columns that tell the time."""
    text = folder.metrics_file.read_text(encoding="utf-8")
    return [line.rsplit(",", 2)[0] for line in text.splitlines()]


def last_facts(folder):
    facts = read_checkpoint(folder.last_checkpoint)[1]
    del facts["state"]["seconds"]
    return facts


def assert_same_run(path, other):
    """All that two runs left behind is equal, to the last digit, but for the times."""
    folder, other = RunFolder(path), RunFolder(other)
    assert rows_without_times(folder) == rows_without_times(other)
    assert folder.read_results() == other.read_results()
    assert last_facts(folder) == last_facts(other)
    for name in ("last_checkpoint", "best_checkpoint"):
        arrays = read_checkpoint(getattr(folder, name))[0]
        expected = read_checkpoint(getattr(other, name))[0]
        assert set(arrays) == set(expected)
        for key, array in arrays.items():
            assert array.dtype == expected[key].dtype, key
            assert array.tobytes() == expected[key].tobytes(), key
