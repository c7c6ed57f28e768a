"""Tests of n-best lists sorted anew."""

import math

import pytest

from awd_keras.errors import InputError
from awd_keras.evaluation import Hypothesis, LineScore, rerank
from trainers.errors import UserError

LINES = [
    "utterance1 ||| the cat sat ||| -10.0",
    "utterance1 ||| a cat sat ||| -9.0",
    "utterance1 ||| ||| -9.5",
    "utterance2 ||| hello ||| 3",
]


class Scorer:
    """Minus the number of letters, or what a test says."""

    def __init__(self, **log_probabilities):
        self.log_probabilities = log_probabilities
        self.texts = []

    def score(self, texts):
        for text in texts:
            self.texts.append(text)
            yield LineScore(self.log_probabilities.get(text, -float(len(text))), 1, 0)


def test_a_weight_of_half():
    scorer = Scorer()
    assert [str(hypothesis) for hypothesis in rerank(LINES, scorer, 0.5)] == [
        "utterance1 |||  ||| -4.750000",
        "utterance1 ||| a cat sat ||| -9.000000",
        "utterance1 ||| the cat sat ||| -10.500000",
        "utterance2 ||| hello ||| -1.000000",
    ]
    assert scorer.texts == ["the cat sat", "a cat sat", "", "hello"]


def test_the_ends_of_the_weight():
    scores = [hypothesis.score for hypothesis in rerank(LINES, Scorer(), 0.0)]
    assert scores == [-9.0, -9.5, -10.0, 3.0]
    scores = [hypothesis.score for hypothesis in rerank(LINES, Scorer(), 1.0)]
    assert scores == [0.0, -9.0, -11.0, -5.0]


def test_an_impossible_line_is_last_and_never_nan():
    scorer = Scorer(hello=-math.inf)
    lines = ["a ||| hello ||| 100", "a ||| there ||| -100"]
    assert [h.text for h in rerank(lines, scorer, 0.1)] == ["there", "hello"]
    assert [h.score for h in rerank(lines, scorer, 0.0)] == [100.0, -100.0]


def test_equal_scores_keep_their_order():
    lines = [f"a ||| {word} ||| 1" for word in ("dog", "cat", "ant")]
    assert [h.text for h in rerank(lines, Scorer(), 0.5)] == ["dog", "cat", "ant"]


def test_what_is_written_is_an_n_best_list_again():
    once = [str(hypothesis) for hypothesis in rerank(LINES, Scorer(), 0.5)]
    assert [str(hypothesis) for hypothesis in rerank(once, Scorer(), 0.0)] == once


def test_a_list_comes_before_the_lists_after_it_are_read():
    read = []
    lines = (read.append(index) or f"{index} ||| a ||| 1" for index in range(100))
    next(rerank(lines, Scorer(), 0.5))
    assert len(read) == 2


@pytest.mark.parametrize(
    "line",
    [
        "a ||| text",
        "a ||| text ||| 1 ||| 2",
        "a ||| text ||| high",
        "a ||| text ||| nan",
        "a ||| text ||| inf",
        " ||| text ||| 1",
        "",
        None,
    ],
)
def test_a_malformed_line_is_named_by_its_number(line):
    with pytest.raises(InputError, match=r"Line 3\b.*Expected: id \|\|\| text \|\|\| score"):
        list(rerank(["a ||| x ||| 1", "a ||| y ||| 2", line], Scorer(), 0.5))


def test_bad_lines_are_left_out_and_told():
    bad = {2: "", 3: None, 5: "a ||| x", 7: "a ||| comes back ||| 1", 8: "b ||| x ||| nan"}
    good = {1: "a ||| x ||| 1", 4: "a ||| y ||| 2", 6: "b ||| x ||| 1", 9: "b ||| y ||| 3"}
    lines = [(bad | good)[number] for number in range(1, 10)]
    told = {}
    found = list(rerank(lines, Scorer(), 0.0, told.__setitem__))
    assert [(h.id, h.text) for h in found] == [("a", "y"), ("a", "x"), ("b", "y"), ("b", "x")]
    assert list(told) == list(bad)
    assert all(f"Line {number}" in str(error) for number, error in told.items())
    assert "not UTF-8" in str(told[3]) and "'a' comes back" in str(told[7])


def test_ids_must_be_together():
    lines = ["a ||| x ||| 1", "b ||| x ||| 1", "a ||| y ||| 1"]
    with pytest.raises(InputError, match="Line 3: the id 'a' comes back"):
        list(rerank(lines, Scorer(), 0.5))


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_the_weight_is_checked(weight):
    with pytest.raises(UserError, match=r"lm_weight must be in \[0, 1\]"):
        next(rerank(LINES, Scorer(), weight))


def test_hypothesis():
    assert Hypothesis.parse("  7|||a  b |||1e2\n", 1) == Hypothesis("7", "a  b", 100.0)
