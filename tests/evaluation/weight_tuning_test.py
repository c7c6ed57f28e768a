"""Tests of tuning the weights for n-best lists."""

import math
import random

import pytest

from awd_keras.errors import InputError
from awd_keras.evaluation import LineScore, rerank, tune_weights, word_errors

# Given score, log-probability and number of unknown words of each hypothesis. Only an unknown-word
# penalty together with the model's score finds the right ones.
LISTS = {
    "u1": {"the cat sat": (-5, -9, 0), "the qq sat": (-4, -8, 1), "a dog": (-4.5, -20, 0)},
    "u2": {"we go": (-3, -6, 0), "we go qq": (-3, -5, 1), "me go": (-2, -15, 0)},
}
LINES = [
    f"{id_} ||| {text} ||| {score}"
    for id_, texts in LISTS.items()
    for text, (score, *_) in texts.items()
]
REFERENCES = ["u2 we go", "", "u1  the cat sat", "u3 no list"]


class TableScorer:
    def __init__(self):
        self.texts = []

    def score(self, texts):
        scores = {text: row for table in LISTS.values() for text, row in table.items()}
        for text in texts:
            self.texts.append(text)
            _, log_probability, num_unknown = scores[text]
            yield LineScore(log_probability, len(text.split()) + 1, num_unknown)


def test_tuned_weights_find_the_right_hypotheses():
    scorer = TableScorer()
    tuned = tune_weights(LINES, scorer, REFERENCES)
    assert (tuned.num_errors_before, tuned.num_errors, tuned.num_words) == (2, 0, 5)
    assert len(scorer.texts) == len(LINES)  # scored once
    assert tuned.unk_penalty > 0 and tuned.word_bonus == 0
    best = {}
    for hypothesis in rerank(LINES, TableScorer(), *tuned[:1], tuned.unk_penalty, tuned.word_bonus):
        best.setdefault(hypothesis.id, hypothesis.text)
    assert best == {"u1": "the cat sat", "u2": "we go"}


def test_simplest_of_equal_weights():
    tuned = tune_weights(LINES[:1], TableScorer(), REFERENCES)
    assert tuned[:3] == (0.5, 0.0, 0.0)


def test_impossible_hypotheses_never_win(monkeypatch):
    monkeypatch.setitem(LISTS["u1"], "the cat sat", (-4, -math.inf, 1))
    tuned = tune_weights(LINES[:2], TableScorer(), ["u1 the qq sat"])
    assert (tuned.lm_weight, tuned.num_errors) == (0.5, 0)


def test_each_list_needs_a_reference():
    with pytest.raises(InputError, match="none for 'u1'"):
        tune_weights(LINES, TableScorer(), ["u2 we go"])


def test_references_need_words():
    with pytest.raises(InputError, match="no words"):
        tune_weights(LINES[:1], TableScorer(), ["u1"])


def slow_errors(hypothesis, reference):
    if not hypothesis or not reference:
        return len(hypothesis) + len(reference)
    return min(
        slow_errors(hypothesis[1:], reference) + 1,
        slow_errors(hypothesis, reference[1:]) + 1,
        slow_errors(hypothesis[1:], reference[1:]) + (hypothesis[0] != reference[0]),
    )


def test_word_errors():
    generator = random.Random(0)
    for _ in range(60):
        texts = [generator.choices("abc", k=generator.randrange(6)) for _ in range(2)]
        assert word_errors(*texts) == slow_errors(*texts)
