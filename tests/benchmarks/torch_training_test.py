"""Tests of the PyTorch training loop; they need PyTorch, which only the benchmark asks for."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from awd_keras.data import Corpus  # noqa: E402
from benchmarks import torch_training  # noqa: E402
from trainers.config import TrainingConfig  # noqa: E402

LINES = ["the cat sat on the mat", "the dog sat on the cat"] * 30
CONFIG = TrainingConfig(
    corpus="text",
    embedding_dim=6,
    hidden_dim=8,
    num_layers=2,
    batch_size=4,
    bptt=10,
    validation_batch_size=2,
    epochs=4,
    non_monotone_interval=0,
    dropout_multiplier=0.2,
    learning_rate=5.0,
    dtype="float32",
)


@pytest.fixture
def corpus():
    return Corpus.from_texts("cats", {"train": LINES, "validation": LINES[:8], "test": LINES[:8]})


def test_windows_cover_every_target_once():
    columns = np.arange(22, dtype="int32").reshape(2, 11)
    made = list(torch_training.windows(columns, [4, 5, 1]))
    inputs, targets = (torch.cat(parts).t().numpy() for parts in zip(*made))
    np.testing.assert_array_equal(inputs, columns[:, :-1])
    np.testing.assert_array_equal(targets, columns[:, 1:])


def test_the_average_is_the_mean_of_what_was_added():
    weight = torch.nn.Parameter(torch.zeros(3))
    average = torch_training.Average([weight])
    for value in (1.0, 2.0, 6.0):
        weight.data.fill_(value)
        average.add()
    average.swap()
    assert weight.tolist() == pytest.approx([3.0] * 3)
    average.swap()
    assert weight.tolist() == [6.0] * 3


def test_learns_and_averages(corpus):
    rows = list(torch_training.train(CONFIG, corpus))
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]
    assert list(rows[0]) == list(torch_training.COLUMNS)


def test_validation_leaves_the_state_of_training(corpus):
    workload = torch_training.workload_of(CONFIG, len(corpus.vocabulary))
    model = torch_training.Implementation(workload)
    states = model.states
    first, second = (torch_training.validation_loss(model, corpus.validation, 2) for _ in "ab")
    assert first == second and model.states is states
