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
    assert [hypothesis[1:3] for hypothesis in reranked] == expected
    assert [hypothesis[0] for hypothesis in reranked] == ["utterance1"] * 3 + ["utterance2"]


@pytest.mark.parametrize(
    "line, expected",
    [
        ("0 ||| a b ||| LM0= -1 -2 ||| -5", "0 ||| a b ||| LM0= -1 -2 {} ||| -5"),
        ("0 ||| a b ||| F= -1 ||| -5 ||| 0-0 1-1", "0 ||| a b ||| F= -1 {} ||| -5 ||| 0-0 1-1"),
        ("0 ||| a b ||| 0-0 1-1 ||| F0= -1 ||| -5", "0 ||| a b ||| 0-0 1-1 ||| F0= -1 {} ||| -5"),
        ("0 ||| a b ||| -1 -2 ||| -5", "0 ||| a b ||| -1 -2 {} ||| -5"),
        ("0 ||| a b ||| ||| -5", "0 ||| a b ||| {} ||| -5"),
    ],
)
def test_score_becomes_a_feature(line, expected):
    (added,) = rerank([line], LengthScorer())
    assert added.line == expected.format("AWDLSTM0= -3.000000")
    (again,) = rerank([added.line], LengthScorer())
    assert again.line == expected.format("AWDLSTM0= -3.000000 AWDLSTM1= -3.000000")
    (weighted,) = rerank([line], LengthScorer(), lm_weight=0.5)
    assert weighted.line == added.line.replace("-5", "-4.000000")


def test_lists_with_features_are_sorted_only_with_a_weight():
    lines = ["a ||| x x ||| F= 1 ||| 1", "a ||| x ||| F= 1 ||| 2"]
    texts = [hypothesis.text for hypothesis in rerank(lines, LengthScorer())]
    assert texts == ["x x", "x"]
    texts = [hypothesis.text for hypothesis in rerank(lines, LengthScorer(), lm_weight=0.0)]
    assert texts == ["x", "x x"]


class UnknownScorer:
    """Scores every text by -2 and finds all but the first of its words unknown."""

    def score(self, texts):
        for text in texts:
            num_words = len(text.split())
            yield LineScore(-2.0, num_words + 1, num_words - 1)


def test_penalty_bonus_and_base():
    lines = ["a ||| the ||| 0", "a ||| the qqqq wwww ||| 0"]
    arguments = {"lm_weight": 0.5, "unk_penalty": 3.0, "word_bonus": 1.0}
    hypotheses = list(rerank(lines, UnknownScorer(), **arguments))
    assert [hypothesis.score for hypothesis in hypotheses] == [0.5 * -1, 0.5 * -5]
    hypotheses = rerank(lines, UnknownScorer(), **arguments, log_base=10)
    assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx(
        [0.5 * -1 / math.log(10), 0.5 * -5 / math.log(10)]
    )


def test_impossible_line():
    lines = ["a ||| impossible ||| 100", "a ||| there ||| -100"]
    assert [hypothesis.text for hypothesis in rerank(lines, LengthScorer(), 0.1)] == [
        "there",
        "impossible",
    ]
    scores = [hypothesis.score for hypothesis in rerank(lines, LengthScorer(), 0.0)]
    assert scores == [100.0, -100.0]


def test_ties_keep_their_order():
    lines = [f"a ||| {word} ||| 1" for word in ("dog", "cat", "ant")]
    reranked = rerank(lines, LengthScorer(), 0.5)
    assert [hypothesis.text for hypothesis in reranked] == ["dog", "cat", "ant"]


def test_lists_are_streamed():
    read = []
    lines = (read.append(index) or f"{index} ||| a ||| 1" for index in range(100))
    next(rerank(lines, LengthScorer(), 0.5))
    assert len(read) == 2


@pytest.mark.parametrize(
    "line",
    [
        "a ||| text",
        "a ||| text ||| LM= 1 ||| high",
        "a ||| b ||| high",
        "a ||| b ||| nan",
        " ||| b ||| 1",
    ],
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
