"""Tests of the sums over words."""

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from trainers.reporting.word_losses import WordLosses


@pytest.fixture
def losses():
    found = WordLosses(Vocabulary(["a", "b", "c", "never"]))
    found.add([[0, 1], [1, 1]], [[-1.0, -2.0], [-2.5, -1.5]], [[-3.0, -1.0], [-2.5, -1.0]])
    found.add([[2]], [[-4.0]], [[-4.0]])
    return found


def test_sums(losses):
    assert losses.num_tokens == 5
    np.testing.assert_allclose(losses.losses, (11.0 / 5, 11.5 / 5))
    rows = [tuple(row.values()) for row in losses.largest("total", 9)]
    assert rows == [("b", 3, 6.0, 2.0, 1.5), ("c", 1, 4.0, 4.0, 0.0), ("a", 1, 1.0, 1.0, -2.0)]


@pytest.mark.parametrize(
    ("by", "limit", "min_count", "sign", "words"),
    [
        ("total", 2, 1, 1, ["b", "c"]),
        ("mean", 9, 1, 1, ["c", "b", "a"]),
        ("mean", 9, 2, 1, ["b"]),
        ("gain", 9, 1, 1, ["b"]),
        ("gain", 9, 1, -1, ["a"]),
    ],
)
def test_ranking(losses, by, limit, min_count, sign, words):
    assert [row["word"] for row in losses.largest(by, limit, min_count, sign)] == words


def test_ties_are_in_the_order_of_the_vocabulary():
    losses = WordLosses(Vocabulary(["a", "b", "c"]))
    losses.add([2, 0, 1], [-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0])
    assert [row["word"] for row in losses.largest("total", 3)] == ["a", "b", "c"]
