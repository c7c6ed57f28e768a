"""A tiny corpus, tiny settings, and whole runs in a second."""

import contextlib
import hashlib
import io
import signal
from unittest import mock

import numpy as np

from awd_keras.data import Corpus
from awd_keras.evaluation import Evaluator
from awd_keras.models.train_step import make_train_step
from trainers.config import TrainingConfig
from trainers.training import RunFolder, factory, loop, read_checkpoint, train_and_evaluate

NUM_WORDS = 20

# The content of results.json of a finished run.
RESULTS = {
    "reason": "finished",
    "epochs": 3,
    "triggered_at_step": None,
    "stopped_at_step": None,
    "validation": {"perplexity": 9.0},
    "test": {"perplexity": 8.5},
}


def make_lines(num_lines, seed):
    """Makes lines of eight words, most of which follow from the word before."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(num_lines):
        word, words = int(generator.integers(NUM_WORDS)), []
        for _ in range(8):
            words.append(f"w{word}")
            is_random = generator.random() < 0.2
            word = int(generator.integers(NUM_WORDS)) if is_random else 3 * word % NUM_WORDS
        lines.append(" ".join(words))
    return lines


def make_texts():
    # The first line of the training text contains every word.
    every = " ".join(f"w{word}" for word in range(NUM_WORDS))
    return {
        "train": [every, *make_lines(60, 1)],
        "validation": make_lines(14, 2),
        "test": make_lines(12, 3),
    }


def make_corpus(texts=None):
    return Corpus.from_texts("tiny", texts or make_texts())


def make_config(**changes):
    """Settings with about fourteen windows an epoch, without TensorBoard and plots."""
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


_MODEL_SETTINGS = (
    *("rnn", "embedding_dim", "hidden_dim", "num_layers", "tie_weights", "dtype", "seed"),
    *("optimizer", "weight_decay", "momentum", "momentum_min", "dropout_multiplier"),
    "adaptive_softmax_cutoffs",
)
_made, _steps, _evaluators = {}, {}, {}


def make_model(config, vocabulary_size=NUM_WORDS + 1):
    """Returns a model and an optimizer as if new, reusing traced objects where it can."""
    key = (*(getattr(config, name) for name in _MODEL_SETTINGS), vocabulary_size)
    key += tuple(config.dropout_rates().values())
    if key not in _made:
        model = factory.build_model(config, vocabulary_size)
        optimizer = factory.build_optimizer(config, model)
        variables = [*model.weights, *optimizer.variables]
        _made[key] = model, optimizer, variables, [v.numpy() for v in variables]
    model, optimizer, variables, initial = _made[key]
    for variable, value in zip(variables, initial, strict=True):
        variable.assign(value)
    return model, optimizer


def _make_step_once(model, optimizer, **kwargs):
    key = (id(model), *kwargs.values())
    if key not in _steps:
        _steps[key] = make_train_step(model, optimizer, **kwargs)
    return _steps[key]


def _make_evaluator_once(model):
    return _evaluators.setdefault(id(model), Evaluator(model))


def run(path, config, corpus=None, stream=None, **kwargs):
    """Calls `train_and_evaluate` with a model and an optimizer as if new."""
    corpus = make_corpus() if corpus is None else corpus
    model, optimizer = make_model(config)
    stream = io.StringIO() if stream is None else stream
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(loop, "Evaluator", _make_evaluator_once))
        if loop.make_train_step is make_train_step:
            stack.enter_context(mock.patch.object(loop, "make_train_step", _make_step_once))
        return train_and_evaluate(
            model, optimizer, corpus, config, RunFolder(path), stream=stream, **kwargs
        )


@contextlib.contextmanager
def validation_losses(loss_at_step):
    """Replaces the results of validations, so that what follows from them is known.

    Args:
        loss_at_step: A function of the number of steps made.
    """

    def evaluate_validation(self):
        return loop.EvaluationResult(100 * loss_at_step(self.state.step), 100)

    with mock.patch.object(loop._Run, "_evaluate_validation", evaluate_validation):
        yield


def rising(step):
    """Validation losses that fire any trigger as early as it can."""
    return 3.0 + 0.01 * step


@contextlib.contextmanager
def after_each_step(action):
    """Calls `action(number of the step, from 1)` after each training step."""

    def make(model, optimizer, **kwargs):
        train_step = _make_step_once(model, optimizer, **kwargs)

        def step_and_act(inputs, targets, states, learning_rate, step):
            results = train_step(inputs, targets, states, learning_rate, step)
            action(int(step) + 1)
            return results

        return step_and_act

    with mock.patch.object(loop, "make_train_step", make):
        yield


def interrupt_after(step, number=signal.SIGINT):
    """Sends Ctrl-C, or another signal, during a training step."""

    def act(current):
        if current == step:
            signal.raise_signal(number)

    return after_each_step(act)


def digests(path):
    """Returns the SHA-256 of each file below a folder."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }


def _rows_without_times(folder):
    text = folder.metrics_file.read_text(encoding="utf-8")
    return [line.rsplit(",", 2)[0] for line in text.splitlines()]


def _last_facts(folder):
    facts = read_checkpoint(folder.last_checkpoint)[1]
    del facts["state"]["seconds"]
    return facts


def assert_same_run(path, other):
    """Asserts that two runs left the same files, to the last digit, except for times."""
    folder, other = RunFolder(path), RunFolder(other)
    assert _rows_without_times(folder) == _rows_without_times(other)
    assert folder.read_results() == other.read_results()
    assert _last_facts(folder) == _last_facts(other)
    for name in ("last_checkpoint", "best_checkpoint"):
        arrays = read_checkpoint(getattr(folder, name))[0]
        expected = read_checkpoint(getattr(other, name))[0]
        assert set(arrays) == set(expected)
        for key, array in arrays.items():
            assert array.dtype == expected[key].dtype, key
            assert array.tobytes() == expected[key].tobytes(), key
