"""Tests of rescoring n-best lists."""

import math

import pytest

from awd_keras.errors import InputError
from awd_keras.evaluation import LineScore, rerank

LINES = [
    "utterance1 ||| the cat sat ||| -10.0",
    "utterance1 ||| a cat sat ||| -9.0",
    "utterance1 ||| ||| -9.5",
    "",
    "utterance2|||hello|||3",
]


class LengthScorer:
    """Scores a text by minus the number of its characters, and "impossible" by minus infinity."""

    def score(self, texts):
        for text in texts:
            yield LineScore(-math.inf if text == "impossible" else -float(len(text)), 1, 0)


@pytest.mark.parametrize(
    "lm_weight, expected",
    [
        (0.0, [("a cat sat", -9.0), ("", -9.5), ("the cat sat", -10.0), ("hello", 3.0)]),
        (0.5, [("", -4.75), ("a cat sat", -9.0), ("the cat sat", -10.5), ("hello", -1.0)]),
        (1.0, [("", 0.0), ("a cat sat", -9.0), ("the cat sat", -11.0), ("hello", -5.0)]),
    ],
)
def test_weight(lm_weight, expected):
    reranked = list(rerank(LINES, LengthScorer(), lm_weight))
    assert [hypothesis[1:] for hypothesis in reranked] == expected
    assert [hypothesis[0] for hypothesis in reranked] == ["utterance1"] * 3 + ["utterance2"]


def test_impossible_line():
    lines = ["a ||| impossible ||| 100", "a ||| there ||| -100"]
    assert [text for _, text, _ in rerank(lines, LengthScorer(), 0.1)] == ["there", "impossible"]
    assert [score for _, _, score in rerank(lines, LengthScorer(), 0.0)] == [100.0, -100.0]


def test_ties_keep_their_order():
    lines = [f"a ||| {word} ||| 1" for word in ("dog", "cat", "ant")]
    assert [text for _, text, _ in rerank(lines, LengthScorer(), 0.5)] == ["dog", "cat", "ant"]


def test_lists_are_streamed():
    read = []
    lines = (read.append(index) or f"{index} ||| a ||| 1" for index in range(100))
    next(rerank(lines, LengthScorer(), 0.5))
    assert len(read) == 2


@pytest.mark.parametrize(
    "line",
    ["a ||| text", "a ||| text ||| 1 ||| 2", "a ||| b ||| high", "a ||| b ||| nan", " ||| b ||| 1"],
)
def test_malformed_line(line):
    with pytest.raises(InputError, match=r"Line 2: expected id \|\|\| text \|\|\| score"):
        list(rerank(["a ||| x ||| 1", line], LengthScorer(), 0.5))


def test_lines_of_an_id_must_be_adjacent():
    lines = ["a ||| x ||| 1", "b ||| x ||| 1", "a ||| y ||| 1"]
    with pytest.raises(InputError, match="Line 3: .* adjacent, but 'a' occurs again"):
        list(rerank(lines, LengthScorer(), 0.5))


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_weight_out_of_range(weight):
    with pytest.raises(ValueError, match=r"`lm_weight` must be in \[0, 1\]"):
        next(rerank(LINES, LengthScorer(), weight))
