"""Tests of the scores of words: ranks, the cache over a whole text, and dynamic evaluation."""

import numpy as np
import pytest

from awd_keras.data import batchify
from awd_keras.evaluation import ContinuousCache, DynamicEvaluation, Scorer, evaluate
from tests.evaluation.tiny import brute_force, make_model, make_text, weights_of
from tests.test_case import assert_close, assert_equal

CACHE = ContinuousCache(window=12, theta=1.5, lambda_=0.3)
TEXT = make_text(67)


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def dynamic_evaluation(model):
    dynamic_evaluation = DynamicEvaluation(model, learning_rate=0.02, bptt=4)
    dynamic_evaluation.collect_statistics(make_text(100, seed=5), batch_size=4)
    return dynamic_evaluation


@pytest.fixture
def short_windows(monkeypatch):
    """Several windows per text, shorter than the cache."""
    monkeypatch.setattr("awd_keras.evaluation.windows._WINDOW_TOKENS", 8)


def score(scorer, batch_size=1):
    """Returns all fields of `TokenScores` over the whole text, and the number of windows."""
    windows = list(scorer.score(TEXT, batch_size))
    fields = zip(*windows)
    return [None if f[0] is None else np.concatenate(f, axis=1) for f in fields], len(windows)


def predictions(model, batch_size=1):
    """Returns the hidden states, the log-probabilities of all words and the targets."""
    columns = batchify(TEXT, batch_size)
    hidden, outputs, _ = model.backbone(columns[:, :-1])
    logits = model.decoder(outputs).numpy().astype("float64")
    log_sums = np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    return hidden.numpy(), logits - log_sums, columns[:, 1:]


def of_targets(values, targets):
    return np.take_along_axis(values, targets[..., np.newaxis], axis=-1)[..., 0]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_model_alone(model, batch_size, short_windows):
    scores, num_windows = score(Scorer(model, ranks=True), batch_size)
    targets, log_probabilities, without_cache, ranks, hidden = scores
    expected_hidden, expected, expected_targets = predictions(model, batch_size)
    assert num_windows > 3
    assert_equal(targets, expected_targets)
    assert_close(hidden, expected_hidden, 1e-5)
    assert_close(log_probabilities, of_targets(expected, targets), 1e-5)
    assert_equal(without_cache, log_probabilities)
    order = np.argsort(-expected, axis=-1)
    assert_equal(of_targets(order, ranks - 1), targets)
    assert len(np.unique(ranks)) > 5
    total_loss = -np.sum(log_probabilities, dtype="float64")
    assert_close(total_loss, evaluate(model, TEXT, batch_size).total_loss, 1e-6)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_cache(model, batch_size, short_windows):
    scores, num_windows = score(Scorer(model, CACHE), batch_size)
    targets, log_probabilities, without_cache, _, hidden = scores
    _, expected, _ = predictions(model, batch_size)
    assert num_windows > 3
    assert_close(without_cache, of_targets(expected, targets), 1e-5)
    mixed = brute_force(CACHE, without_cache, hidden, targets)
    assert_close(np.exp(log_probabilities), mixed, 1e-5)


def test_dynamic_evaluation_and_cache(model, dynamic_evaluation):
    before = weights_of(model)
    scores, num_windows = score(Scorer(model, CACHE, dynamic_evaluation))
    targets, mixed, learned, ranks, hidden = scores
    assert num_windows == 17 and ranks is None
    assert_equal(learned, score(Scorer(model, None, dynamic_evaluation))[0][1])
    static = score(Scorer(model))[0][1]
    # The first segment is scored by the trained model, the others after learning.
    assert_close(learned[:, :4], static[:, :4], 1e-5)
    assert np.max(np.abs(learned[:, 4:] - static[:, 4:])) > 0.01
    assert_close(np.exp(mixed), brute_force(CACHE, learned, hidden, targets), 1e-5)
    assert weights_of(model) == before


def test_weights_are_restored_after_an_exception(model, dynamic_evaluation):
    before = weights_of(model)
    with pytest.raises(KeyboardInterrupt):
        for index, _ in enumerate(Scorer(model, None, dynamic_evaluation).score(TEXT)):
            assert weights_of(model) != before
            if index == 2:
                raise KeyboardInterrupt
    assert weights_of(model) == before
