"""Tests of the scores of lines."""

import io
import math

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import Vocabulary
from awd_keras.errors import InputError
from awd_keras.evaluation import LineScore, LineScorer, decoded_lines
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import to_numpy
from trainers.errors import UserError

WORDS = [f"w{index}" for index in range(20)]
VOCABULARY = Vocabulary(["<eos>", *WORDS, "<unk>"])


def make_model(vocabulary=VOCABULARY, **options):
    model = AWDLSTMLanguageModel(
        len(vocabulary), embedding_dim=6, hidden_dim=8, num_layers=2, seed=3, **options
    )
    # Far from uniform, so that a wrong word, state or place shows.
    for index, variable in enumerate(model.weights):
        values = np.random.default_rng(index).normal(size=variable.shape)
        variable.assign(values.astype("float32"))
    return model


def make_lines(count, longest, seed=0):
    generator = np.random.default_rng(seed)
    return [
        " ".join(generator.choice(WORDS, size=generator.integers(0, longest + 1)))
        for _ in range(count)
    ]


def by_the_model(model, line, vocabulary=VOCABULARY):
    """The log-probability of a line alone, from the model's logits."""
    ids = vocabulary.encode(f"<eos> {line} <eos>".split())
    logits, _ = model(ids[np.newaxis, :-1])
    log_probabilities = to_numpy(tf.nn.log_softmax(logits))[0].astype("float64")
    return sum(log_probabilities[step, word] for step, word in enumerate(ids[1:]))


@pytest.mark.parametrize(
    "batch_size,block_lines", [(128, 8192), (5, 8192), (5, 7), (1, 1)], ids=str
)
def test_scores_are_those_of_the_model_line_by_line(batch_size, block_lines):
    model, lines = make_model(), make_lines(30, 12)
    assert "" in lines
    scores = list(LineScorer(model, VOCABULARY, batch_size, block_lines).score(lines))
    expected = [by_the_model(model, line) for line in lines]
    assert np.std(expected) > 1
    np.testing.assert_allclose([s.log_probability for s in scores], expected, rtol=1e-5)
    assert [s.num_words for s in scores] == [len(line.split()) + 1 for line in lines]


def test_a_score_does_not_depend_on_the_other_lines():
    model, lines = make_model(), make_lines(20, 15)
    scorer = LineScorer(model, VOCABULARY)
    together = [score.log_probability for score in scorer.score(lines)]
    alone = [next(scorer.score([line])).log_probability for line in lines]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_long_lines_are_read_in_windows(monkeypatch):
    # 6 words at a time, for a batch of very different lengths.
    monkeypatch.setattr("awd_keras.evaluation.scoring._BATCH_WORDS", 6)
    model = make_model()
    lengths = (50, 3, 49, 0, 12)
    lines = [" ".join((WORDS * 3)[:length]) for length in lengths]
    shapes = []
    scorer = LineScorer(model, VOCABULARY)
    step = scorer._step
    scorer._step = lambda ids, *rest: (shapes.append(tuple(ids.shape)), step(ids, *rest))[1]
    scores = [score.log_probability for score in scorer.score(lines)]
    np.testing.assert_allclose(scores, [by_the_model(model, line) for line in lines], rtol=1e-5)
    assert max(rows * steps for rows, steps in shapes) <= 6
    # Lines at their end leave the batch: the longest line is alone at last.
    assert sum(rows * steps for rows, steps in shapes) < 1.2 * sum(lengths)


def test_lines_of_any_length_are_one_trace():
    scorer = LineScorer(make_model(), VOCABULARY, batch_size=4)
    for longest in (1, 5, 9):
        list(scorer.score(make_lines(9, longest)))
    assert scorer._step.experimental_get_tracing_count() == 1


def test_lines_are_batched_by_length():
    lines = make_lines(64, 20)
    scorer = LineScorer(make_model(), VOCABULARY, batch_size=8)
    computed = []
    step = scorer._step
    scorer._step = lambda ids, *rest: (
        computed.append(ids.shape[0] * ids.shape[1]),
        step(ids, *rest),
    )[1]
    needed = sum(score.num_words for score in scorer.score(lines))
    assert needed <= sum(computed) < 1.2 * needed


def test_no_more_than_a_block_is_read_ahead():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield "w1 w2"

    scores = LineScorer(make_model(), VOCABULARY, block_lines=10).score(endless())
    next(scores)
    assert len(taken) == 10
    for _ in range(10):
        next(scores)
    assert len(taken) == 20


def test_a_block_of_long_lines_ends_early(monkeypatch):
    monkeypatch.setattr("awd_keras.evaluation.scoring._BLOCK_WORDS", 20)
    taken = []
    lines = (taken.append(1) or " ".join(WORDS[:8]) for _ in range(100))
    next(LineScorer(make_model(), VOCABULARY).score(lines))
    assert len(taken) == 2  # ten ids a line


def test_none_stands_for_a_line_that_is_not_scored():
    scorer = LineScorer(make_model(), VOCABULARY)
    scores = list(scorer.score(["w1", None, "w2 w3", None]))
    assert [score is None for score in scores] == [False, True, False, True]
    alone = next(scorer.score(["w2 w3"]))
    assert scores[2].log_probability == pytest.approx(alone.log_probability, rel=1e-6)
    assert list(scorer.score([])) == []


def test_words_outside_the_vocabulary_are_scored_as_unk():
    scorer = LineScorer(make_model(), VOCABULARY)
    outside, written = scorer.score(["w1 dog w2 dog", "w1 <unk> w2 <unk>"])
    assert outside.log_probability == pytest.approx(written.log_probability, rel=1e-6)
    assert (outside.num_unknown, written.num_unknown) == (2, 0)
    assert outside.num_words == written.num_words == 5


def test_without_unk_an_unknown_word_is_impossible():
    vocabulary = Vocabulary(["<eos>", *WORDS])
    model = make_model(vocabulary)
    impossible, possible = LineScorer(model, vocabulary).score(["w1 dog w2", "w1 w2"])
    assert impossible == LineScore(-math.inf, 4, 1)
    expected = by_the_model(model, "w1 w2", vocabulary)
    np.testing.assert_allclose(possible.log_probability, expected, rtol=1e-5)


def test_bfloat16_scores_are_near():
    model, lines = make_model(), make_lines(10, 8)
    half = make_model(dtype="mixed_bfloat16")
    scores = [s.log_probability for s in LineScorer(half, VOCABULARY).score(lines)]
    expected = [by_the_model(model, line) for line in lines]
    np.testing.assert_allclose(scores, expected, rtol=0.1)
    assert not np.allclose(scores, expected, rtol=1e-7)


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"block_lines": 1.5}])
def test_sizes_must_be_positive_integers(option):
    with pytest.raises(UserError, match=f"{next(iter(option))} must be a positive integer"):
        LineScorer(make_model(), VOCABULARY, **option)


def test_the_vocabulary_must_be_the_models():
    with pytest.raises(InputError, match="predicts 22 words, the vocabulary has 21"):
        LineScorer(make_model(), Vocabulary(["<eos>", *WORDS]))
    with pytest.raises(InputError, match="the vocabulary has none"):
        LineScorer(make_model(), Vocabulary(["<unk>", *WORDS]))


def test_decoded_lines():
    stream = io.BytesIO(b"\xef\xbb\xbfone\r\n\ncaf\xc3\xa9 \x0c\n\xff\xfe\n\xef\xbb\xbflast")
    assert list(decoded_lines(stream)) == ["one", "", "café \x0c", None, "\ufefflast"]
