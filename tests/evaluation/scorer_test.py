"""Scores of words: sums, ranks, the cache over a whole text, and dynamic evaluation."""

import sys

import numpy as np
import pytest

from awd_keras.data import batchify
from awd_keras.evaluation import ContinuousCache, DynamicEvaluation, Scorer, evaluate
from tests.evaluation.tiny import brute_force, make_model, make_text, weights_of
from tests.test_case import assert_close, assert_equal

CACHE = ContinuousCache(window=12, theta=1.5, lambda_=0.3)
TEXT = make_text(67)
WINDOWS = sys.modules["awd_keras.evaluation.token_log_probabilities"]


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def dynamic_evaluation(model):
    dynamic_evaluation = DynamicEvaluation(model, learning_rate=0.02, bptt=4)
    dynamic_evaluation.collect_statistics(make_text(100, seed=5), batch_size=4)
    return dynamic_evaluation


@pytest.fixture(scope="module")
def plain(model):
    return Scorer(model, ranks=True)


@pytest.fixture(scope="module")
def cached(model):
    return Scorer(model, CACHE, ranks=True)


@pytest.fixture
def short_windows(monkeypatch):
    """Windows of so few tokens that the text has several; the cache is longer than they are."""
    monkeypatch.setattr(WINDOWS, "_TOKENS", 8)


def score(scorer, text=TEXT, batch_size=1):
    """All scores of a text: four arrays (batch_size, num_steps)."""
    pieces = []
    scorer.score(text, pieces.append, batch_size)
    names = ("targets", "log_probabilities", "without_cache", "ranks")
    columns = [[getattr(piece, name) for piece in pieces] for name in names]
    return [None if c[0] is None else np.concatenate(c, axis=1) for c in columns], len(pieces)


def predictions(model, batch_size=1):
    """Inputs of the softmax, log-probabilities of all words, targets: the text in one piece."""
    columns = batchify(TEXT, batch_size)
    hidden, outputs, _ = model.backbone(columns[:, :-1])
    logits = model.decoder(outputs).numpy().astype("float64")
    logits -= logits.max(axis=-1, keepdims=True)
    return (
        hidden.numpy(),
        logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True)),
        columns[:, 1:],
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_model_alone(plain, model, batch_size, short_windows):
    (targets, log_probabilities, alone, ranks), num_windows = score(plain, batch_size=batch_size)
    _, expected, expected_targets = predictions(model, batch_size)
    assert num_windows > 3
    assert_equal(targets, expected_targets)
    of_targets = np.take_along_axis(expected, targets[..., None], axis=-1)
    assert_close(log_probabilities, of_targets[..., 0], 1e-5)
    assert_equal(alone, log_probabilities)
    # A place in the list of words, the likeliest first.
    order = np.argsort(-expected, axis=-1)
    assert_equal(np.take_along_axis(order, ranks[..., None] - 1, axis=-1)[..., 0], targets)
    assert len(np.unique(ranks)) > 5
    result = evaluate(model, TEXT, batch_size)
    assert result.num_tokens == targets.size
    assert_close(-np.sum(log_probabilities, dtype="float64"), result.total_loss, 1e-6)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_cache_over_the_whole_text(cached, model, batch_size, short_windows):
    (targets, log_probabilities, alone, _), num_windows = score(cached, batch_size=batch_size)
    hidden, expected, _ = predictions(model, batch_size)
    of_targets = np.take_along_axis(expected, targets[..., None], axis=-1)[..., 0]
    assert num_windows > 3
    assert_close(alone, of_targets, 1e-5)
    assert_close(np.exp(log_probabilities), brute_force(CACHE, of_targets, hidden, targets), 1e-5)


def test_ranks_with_the_cache(cached, plain, model, short_windows):
    (targets, log_probabilities, _, ranks), _ = score(cached)
    hidden, expected, _ = predictions(model)
    # The probability of every word at every place, by asking for it in place of the target.
    probabilities = np.zeros_like(expected)
    for word in range(expected.shape[-1]):
        for now in range(targets.shape[1]):
            asked = targets[:, : now + 1].copy()
            asked[0, now] = word
            of_asked = np.take_along_axis(expected[:, : now + 1], asked[..., None], axis=-1)
            mixed = brute_force(CACHE, of_asked[..., 0], hidden[:, : now + 1], asked)
            probabilities[0, now, word] = mixed[0, now]
    assert_close(np.sum(probabilities, axis=-1), np.ones_like(targets), 1e-6)
    order = np.argsort(-probabilities, axis=-1)
    assert_equal(np.take_along_axis(order, ranks[..., None] - 1, axis=-1)[..., 0], targets)
    assert np.any(ranks != score(plain)[0][3])


def test_does_not_depend_on_the_windows(cached, monkeypatch):
    (_, whole, _, whole_ranks), num_windows = score(cached)
    assert num_windows == 1
    for tokens in (1, 5, 64):
        monkeypatch.setattr(WINDOWS, "_TOKENS", tokens)
        (_, log_probabilities, _, ranks), num_windows = score(cached)
        assert num_windows == -(-66 // tokens)
        assert_close(log_probabilities, whole, 1e-5)
        assert_equal(ranks, whole_ranks)


def test_dynamic_evaluation_alone_and_with_the_cache(model, dynamic_evaluation, plain):
    before = weights_of(model)
    both = Scorer(model, CACHE, dynamic_evaluation)
    (targets, mixed, learned, ranks), num_windows = score(both)
    assert num_windows == 17 and ranks is None
    alone = score(Scorer(model, dynamic_evaluation=dynamic_evaluation))[0]
    assert_equal(alone[1], learned)
    assert_equal(alone[2], learned)
    static = score(plain)[0][1]
    # The first segment is scored by the trained model, the others by what it became.
    assert_close(learned[:, :4], static[:, :4], 1e-5)
    assert np.max(np.abs(learned[:, 4:] - static[:, 4:])) > 0.01
    # The cache mixes into what the learning model says, with the outputs it had.
    hidden = []
    states = model.initial_state(1)
    with dynamic_evaluation.adapting() as step:
        for start in range(0, 66, 4):
            part = TEXT[None, start : min(start + 4, 66)], TEXT[None, start + 1 : start + 5]
            _, _, outputs, states = step(*part, states)
            hidden.append(outputs.numpy())
    expected = brute_force(CACHE, learned, np.concatenate(hidden, axis=1), targets)
    assert_close(np.exp(mixed), expected, 1e-5)
    for value, weights in zip(weights_of(model), before, strict=True):
        assert_equal(value, weights)


def test_what_receive_raises_leaves_the_weights_as_before(model, dynamic_evaluation):
    before = weights_of(model)
    changed = []

    def receive(scores):
        changed.append(any(np.any(a != b) for a, b in zip(weights_of(model), before)))
        if len(changed) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Scorer(model, dynamic_evaluation=dynamic_evaluation).score(TEXT, receive)
    assert changed == [True] * 3
    for value, weights in zip(weights_of(model), before, strict=True):
        assert value.tobytes() == weights.tobytes()


@pytest.mark.parametrize("num_tokens, batch_size", [(1, 1), (19, 10)])
def test_a_text_too_short(plain, num_tokens, batch_size):
    with pytest.raises(ValueError, match=f"{num_tokens} tokens is too short"):
        plain.score(make_text(num_tokens), print, batch_size)
