import math

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from awd_keras.evaluation import Summary, bits, has_characters


def test_sums_with_and_without_unk():
    summary = Summary(unk_id=4)
    summary.add(np.array([[1, 4], [4, 2]]), np.array([[-1.0, -2.0], [-3.0, -4.0]], np.float32))
    summary.add(np.array([[3]]), np.array([[-5.0]]))
    assert (summary.result.total_loss, summary.result.num_tokens) == (15.0, 5)
    assert (summary.without_unk.total_loss, summary.without_unk.num_tokens) == (10.0, 3)
    assert summary.to_dict() == {
        "loss": 3.0,
        "perplexity": math.exp(3.0),
        "num_tokens": 5,
        "num_unk": 2,
        "loss_without_unk": 10 / 3,
        "perplexity_without_unk": math.exp(10 / 3),
    }


def test_nothing_but_unk():
    summary = Summary(unk_id=0)
    summary.add(np.zeros((1, 3), int), np.full((1, 3), -1.0))
    assert summary.without_unk is None
    assert summary.to_dict()["perplexity_without_unk"] is None


def test_a_vocabulary_without_unk():
    summary = Summary()
    summary.add(np.array([0, 1]), np.array([-1.0, -2.0]))
    assert summary.num_unk == 0
    assert summary.without_unk == summary.result


def test_adds_in_float64():
    summary = Summary()
    summary.add(np.array([0]), np.array([-1e8], np.float32))
    for _ in range(100):
        summary.add(np.array([0]), np.array([-1.0], np.float32))  # float32 would lose each
    assert summary.result.total_loss == 1e8 + 100


@pytest.mark.parametrize(
    "words, expected",
    [
        (["a", "b", "<eos>", "<unk>", "_"], True),
        (["a", "bc", "<eos>"], False),
        (["<eos>", "<unk>"], False),
    ],
)
def test_characters(words, expected):
    assert has_characters(Vocabulary(words)) is expected


def test_bits():
    assert bits(math.log(1024)) == pytest.approx(10)
