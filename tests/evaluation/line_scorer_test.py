"""Tests of the scores of lines, against the model's logits for one line at a time."""

import math

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import Tokenizer, Vocabulary
from awd_keras.evaluation import Evaluator, LineScore, LineScorer
from tests.evaluation.tiny import make_model
from tests.test_case import to_numpy

WORDS = [f"w{index}" for index in range(20)]
VOCABULARY = Vocabulary(["<eos>", *WORDS, "<unk>"])


@pytest.fixture(scope="module")
def model():
    return make_model(len(VOCABULARY), scale=1, num_layers=2)


def make_lines(count, longest):
    generator = np.random.default_rng(0)
    return [
        " ".join(generator.choice(WORDS, size=generator.integers(0, longest + 1)))
        for _ in range(count)
    ]


def expected_scores(model, lines, vocabulary=VOCABULARY):
    scores = []
    for line in lines:
        ids = vocabulary.encode(f"<eos> {line} <eos>".split())
        logits, _ = model(ids[np.newaxis, :-1])
        log_probabilities = to_numpy(tf.nn.log_softmax(logits))[0].astype("float64")
        scores.append(sum(log_probabilities[step, word] for step, word in enumerate(ids[1:])))
    return scores


def assert_scores(scores, expected, tolerance=1e-5):
    found = [score.log_probability for score in scores]
    np.testing.assert_allclose(found, expected, rtol=tolerance)


@pytest.mark.parametrize("batch_size, block_lines", [(128, 8192), (5, 7), (1, 1)])
def test_scores(model, batch_size, block_lines):
    lines = make_lines(30, 12)
    assert "" in lines
    scores = list(LineScorer(model, VOCABULARY, batch_size, block_lines).score(lines))
    assert_scores(scores, expected_scores(model, lines))
    assert [score.num_tokens for score in scores] == [len(line.split()) + 1 for line in lines]
    assert list(LineScorer(model, VOCABULARY).score([])) == []


def test_long_lines_are_read_in_windows(model, monkeypatch):
    monkeypatch.setattr("awd_keras.evaluation.windows._WINDOW_TOKENS", 6)
    lines = [" ".join((WORDS * 3)[:length]) for length in (50, 3, 49, 0, 12)]
    scorer = LineScorer(model, VOCABULARY)
    shapes = []
    step = scorer._step
    scorer._step = lambda ids, *rest: (shapes.append(ids.shape), step(ids, *rest))[1]
    assert_scores(scorer.score(lines), expected_scores(model, lines))
    assert len(shapes) > 3 and max(rows * columns for rows, columns in shapes) <= 6
    assert step.experimental_get_tracing_count() == 1


def test_lines_of_similar_length_are_batched(model):
    scorer = LineScorer(model, VOCABULARY, batch_size=8)
    computed = []
    step = scorer._step
    scorer._step = lambda ids, *rest: (computed.append(np.size(ids)), step(ids, *rest))[1]
    needed = sum(score.num_tokens for score in scorer.score(make_lines(64, 20)))
    assert needed <= sum(computed) < 1.2 * needed
    computed.clear()
    list(scorer.score(["w1", "w1 " * 500, "w2"]))
    assert sum(computed) == 2 * 2 + 501


def test_one_block_at_a_time_is_read(model):
    taken = []
    lines = (taken.append(1) or "w1 w2" for _ in range(100))
    scores = LineScorer(model, VOCABULARY, block_lines=10).score(lines)
    next(scores)
    assert len(taken) == 10
    for _ in range(10):
        next(scores)
    assert len(taken) == 20


def test_tokens_add_up_to_the_line(model):
    lines = make_lines(20, 12)
    scorer = LineScorer(model, VOCABULARY, batch_size=5)
    tokens = list(scorer.score_tokens(lines))
    assert [len(scores) for scores in tokens] == [len(line.split()) + 1 for line in lines]
    assert_scores(scorer.score(lines), [scores.sum(dtype="float64") for scores in tokens])
    prefixes = [" ".join(lines[0].split()[:count]) for count in range(len(tokens[0]))]
    ends = [scores[-1] for scores in scorer.score_tokens(prefixes)]
    assert ends[-1] == pytest.approx(tokens[0][-1], rel=1e-5)


@pytest.mark.parametrize("block_lines", [1, 7, 8192])
def test_carried_state_scores_a_running_text(model, monkeypatch, block_lines):
    monkeypatch.setattr("awd_keras.evaluation.windows._WINDOW_TOKENS", 30)
    lines = make_lines(30, 12)
    scorer = LineScorer(model, VOCABULARY, block_lines=block_lines, carry_state=True)
    scores = list(scorer.score(lines))
    assert [score.num_tokens for score in scores] == [len(line.split()) + 1 for line in lines]
    text = VOCABULARY.encode(["<eos>", *(" <eos> ".join([*lines, ""])).split()])
    result = Evaluator(model).evaluate(text, batch_size=1)
    total = sum(score.log_probability for score in scores)
    assert total == pytest.approx(-result.total_loss, rel=1e-5)
    assert list(scorer.score(lines)) == scores  # from a zero state again
    (first,) = LineScorer(model, VOCABULARY).score(lines[:1])
    assert first.log_probability == pytest.approx(scores[0].log_probability, rel=1e-5)


def test_blocks_of_long_lines_are_small(model, monkeypatch):
    monkeypatch.setattr("awd_keras.evaluation.line_scorer._BLOCK_TOKENS", 12)
    taken = []
    lines = (taken.append(1) or "w1 w2 w3 w4 w5" for _ in range(10))
    next(LineScorer(model, VOCABULARY).score(lines))
    assert len(taken) == 2


def test_lines_are_split_by_the_vocabularys_tokenizer(model):
    basic = Vocabulary(VOCABULARY.words, Tokenizer("basic", lowercase=True))
    (score,) = LineScorer(model, basic).score(["W1,w2!"])
    assert score == next(LineScorer(model, VOCABULARY).score(["w1 , w2 !"]))


def test_unknown_words_are_scored_as_unk(model):
    scorer = LineScorer(model, VOCABULARY)
    unknown, literal = scorer.score(["w1 dog w2 dog", "w1 <unk> w2 <unk>"])
    assert unknown == literal._replace(num_unknown=2)
    assert literal.num_unknown == 0


def test_unknown_words_are_impossible_without_unk():
    vocabulary = Vocabulary(["<eos>", *WORDS])
    model = make_model(len(vocabulary))
    impossible, possible = LineScorer(model, vocabulary).score(["w1 dog w2", "w1 w2"])
    assert impossible == LineScore(-math.inf, 4, 1)
    assert_scores([possible], expected_scores(model, ["w1 w2"], vocabulary))
    (tokens,) = LineScorer(model, vocabulary).score_tokens(["w1 dog w2"])
    assert tokens.tolist() == [-math.inf] * 4
    scorer = LineScorer(model, vocabulary, carry_state=True)
    assert list(scorer.score(["dog", "w1 w2"]))[1].log_probability == pytest.approx(
        possible.log_probability, rel=1e-5
    )


def test_bfloat16_scores_are_close(model):
    lines = make_lines(10, 8)
    half = make_model(len(VOCABULARY), scale=1, num_layers=2, dtype="mixed_bfloat16")
    assert_scores(LineScorer(half, VOCABULARY).score(lines), expected_scores(model, lines), 0.1)
