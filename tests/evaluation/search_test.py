"""Tests that the grid search finds the losses of separate evaluations."""

import math

import numpy as np
import pytest

from awd_keras.evaluation import ContinuousCache, DynamicEvaluation, Scorer, search
from tests.evaluation.tiny import make_model, make_text, weights_of
from tests.test_case import assert_close

TEXT = np.concatenate([make_text(20), np.tile(make_text(9, seed=1), 4)])
CACHE = ContinuousCache(9, 1.0, 0.2)


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def dynamic_evaluation(model):
    dynamic_evaluation = DynamicEvaluation(model, learning_rate=0.02)
    dynamic_evaluation.collect_statistics(make_text(100, seed=5), batch_size=4)
    return dynamic_evaluation


def total_loss(model, cache, dynamic_evaluation, batch_size):
    scorer = Scorer(model, cache, dynamic_evaluation)
    return -sum(scores.log_probabilities.sum() for scores in scorer.score(TEXT, batch_size))


def test_caches(model):
    caches = [
        None,
        CACHE,
        ContinuousCache(9, 1.0, 0.7),
        ContinuousCache(9, 0.3, 0.2),
        ContinuousCache(30, 1, 0.2),
    ]
    trials = search(model, TEXT, caches, batch_size=2)
    again = search(model, TEXT, [CACHE, *caches], batch_size=2)
    assert {trial[0]: trial[2] for trial in again} == {trial[0]: trial[2] for trial in trials}
    assert {cache for cache, _, _ in trials} == set(caches)
    losses = [result.loss for _, _, result in trials]
    assert losses == sorted(losses) and len(set(losses)) == len(caches)
    for cache, _, result in trials:
        assert result.num_tokens == 2 * (56 // 2 - 1)
        assert_close(result.total_loss, total_loss(model, cache, None, batch_size=2), 1e-5)


def test_caches_with_dynamic_evaluations(model, dynamic_evaluation):
    others = [None, dynamic_evaluation, dynamic_evaluation.replace(learning_rate=1e-3, bptt=3)]
    before, calls = weights_of(model), []
    trials = search(model, TEXT, [None, CACHE], others, on_window=lambda *call: calls.append(call))
    assert {trial[:2] for trial in trials} == {(c, d) for c in (None, CACHE) for d in others}
    for *settings, result in trials:
        assert_close(result.total_loss, total_loss(model, *settings, batch_size=1), 1e-5)
    assert weights_of(model) == before
    # One window without learning, then segments of 5 and of 3 words.
    done = [55, *range(60, 111, 5), *range(113, 165, 3), 165]
    assert calls == [(count, 165) for count in done]


def test_diverged_trials_are_last(model, dynamic_evaluation):
    diverging = dynamic_evaluation.replace(learning_rate=1e38)
    before = weights_of(model)
    trials = search(model, TEXT, [None, CACHE], [diverging, None])
    assert [trial[1] for trial in trials] == [None, None, diverging, diverging]
    assert [math.isnan(trial[2].loss) for trial in trials] == [False, False, True, True]
    assert weights_of(model) == before
