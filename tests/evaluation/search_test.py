"""The grid search finds what one evaluation after another finds."""

import math

import numpy as np
import pytest

from awd_keras.evaluation import ContinuousCache, DynamicEvaluation, Scorer, Summary, search
from tests.evaluation.tiny import make_model, make_text, weights_of
from tests.test_case import assert_close, assert_equal

TEXT = np.concatenate([make_text(20), np.tile(make_text(9, seed=1), 4)])


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def dynamic_evaluation(model):
    dynamic_evaluation = DynamicEvaluation(model, learning_rate=0.02)
    dynamic_evaluation.collect_statistics(make_text(100, seed=5), batch_size=4)
    return dynamic_evaluation


def total_loss(model, cache, dynamic_evaluation, batch_size):
    summary = Summary()
    Scorer(model, cache, dynamic_evaluation).score(
        TEXT, lambda scores: summary.add(scores.targets, scores.log_probabilities), batch_size
    )
    return summary.result.total_loss


@pytest.mark.parametrize("batch_size", [1, 2])
def test_each_cache_equals_an_evaluation(model, batch_size):
    caches = [
        None,
        ContinuousCache(5, 1.0, 0.2),
        ContinuousCache(5, 1.0, 0.7),
        ContinuousCache(5, 0.3, 0.2),
        ContinuousCache(30, 1, 0.2),
        ContinuousCache(5, 1.0, 0.2, only_full=True),
        ContinuousCache(1000, 2.0, 0.0),
    ]
    trials = search(model, TEXT, caches, batch_size=batch_size)
    assert {trial.cache for trial in trials} == set(caches)
    losses = [trial.result.loss for trial in trials]
    assert losses == sorted(losses) and len(set(np.round(losses, 6))) == 6
    for trial in trials:
        assert trial.dynamic_evaluation is None
        assert trial.result.num_tokens == batch_size * (56 // batch_size - 1)
        expected = total_loss(model, trial.cache, None, batch_size)
        assert_close(trial.result.total_loss, expected, 1e-6)


def test_caches_with_dynamic_evaluations(model, dynamic_evaluation):
    caches = [None, ContinuousCache(9, 1.0, 0.2), ContinuousCache(40, 1.0, 0.2)]
    others = [None, dynamic_evaluation, dynamic_evaluation.replace(learning_rate=1e-3, bptt=3)]
    before, seen = weights_of(model), []
    trials = search(model, TEXT, caches, others, on_window=lambda *progress: seen.append(progress))
    assert len(trials) == 9
    assert {(trial.cache, trial.dynamic_evaluation) for trial in trials} == {
        (cache, other) for cache in caches for other in others
    }
    for trial in trials:
        expected = total_loss(model, trial.cache, trial.dynamic_evaluation, 1)
        assert_close(trial.result.total_loss, expected, 1e-5)
    for value, weights in zip(weights_of(model), before, strict=True):
        assert_equal(value, weights)
    # One window without learning, then segments of 5 and of 3 words.
    assert [done for done, _, _ in seen] == [55, *range(60, 111, 5), *range(113, 165, 3), 165]
    assert {total for _, total, _ in seen} == {165}
    assert seen[0][2] == next(
        trial.result.loss for trial in trials if not (trial.cache or trial.dynamic_evaluation)
    )


def test_what_diverged_comes_last(model, dynamic_evaluation):
    diverging = dynamic_evaluation.replace(learning_rate=1e38)
    cache = ContinuousCache(9, 1.0, 0.2)
    trials = search(model, TEXT, [None, cache], [diverging, None])
    assert [trial.dynamic_evaluation for trial in trials] == [None, None, diverging, diverging]
    assert [math.isnan(trial.result.loss) for trial in trials] == [False, False, True, True]


@pytest.mark.parametrize("grids", [([], [None]), ([None], [])])
def test_nothing_to_search(model, grids):
    with pytest.raises(ValueError, match="nothing to search"):
        search(model, TEXT, *grids)
