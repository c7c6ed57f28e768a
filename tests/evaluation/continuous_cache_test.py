"""Tests of the continuous cache against loops over every word and every state."""

import math

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.evaluation import ContinuousCache, continuous_cache
from tests.evaluation.tiny import brute_force
from tests.test_case import assert_close

BATCH, TIME, FEATURES, WORDS = 3, 23, 5, 7


def make_text(dtype="float32"):
    """Returns `(log_probabilities, hidden, targets)`."""
    generator = np.random.default_rng(0)
    hidden = generator.uniform(-1, 1, (BATCH, TIME, FEATURES)).astype(dtype)
    targets = generator.integers(WORDS, size=(BATCH, TIME)).astype("int32")
    return generator.uniform(-9, -0.1, (BATCH, TIME)).astype(dtype), hidden, targets


def stream(cache, text, lengths=(TIME,)):
    """Mixes the cache into a text in chunks of the given lengths."""
    state = cache.initial_state(BATCH, FEATURES, text[0].dtype)
    pieces, start = [], 0
    for length in lengths:
        piece, state = cache.mix(*(array[:, start : start + length] for array in text), state)
        pieces.append(piece.numpy())
        start += length
        assert state[0].shape == (BATCH, min(start, cache.window), FEATURES)
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("window", [1, 4, 22, 23, 100])
@pytest.mark.parametrize("lengths", [[TIME], [1] * TIME, [5, 1, 9, 8]])
def test_equals_brute_force(window, lengths):
    text = make_text()
    for theta, lambda_ in ((0.0, 0.3), (3.0, 0.95)):
        cache = ContinuousCache(window, theta, lambda_)
        expected = brute_force(cache, *text)
        assert_close(np.exp(stream(cache, text, lengths)), expected, 1e-5)
        assert np.max(np.abs(expected - np.exp(text[0]))) > 0.01


def test_memory_is_bounded(monkeypatch):
    text, cache = make_text(), ContinuousCache(9, 1.0, 0.2)
    # Two steps at a time.
    monkeypatch.setattr(continuous_cache, "_MAX_SIMILARITIES", 2 * BATCH * (9 + TIME))
    calls, look_up = [], ContinuousCache._look_up
    monkeypatch.setattr(
        ContinuousCache, "_look_up", lambda *args: calls.append(args[1].shape[1]) or look_up(*args)
    )
    assert_close(np.exp(stream(cache, text)), brute_force(cache, *text), 1e-5)
    assert calls == [2] * 11 + [1]


def test_equals_brute_force_in_float64():
    text = make_text("float64")
    cache = ContinuousCache(6, 1.5, 0.2)
    mixed = stream(cache, text, [10, 13])
    assert mixed.dtype == np.float64
    assert_close(np.exp(mixed), brute_force(cache, *text), 1e-13)


def test_without_weight_nothing_changes():
    text = make_text()
    assert_close(stream(ContinuousCache(5, 1.0, 0.0), text), text[0], 1e-6)


@pytest.mark.parametrize("theta", [1e4, 3e38])
def test_large_theta_selects_the_most_similar_state(theta):
    log_probabilities, hidden, targets = make_text()
    # Integers, so that the similarities are exact and differ: the last state is the most similar.
    hidden = np.zeros_like(hidden)
    hidden[:, :, 0] = np.arange(1, TIME + 1)
    mixed = stream(ContinuousCache(9, theta, 0.5), (log_probabilities, hidden, targets))
    hits = (targets[:, 1:] == targets[:, :-1]).astype("float32")
    assert 0 < np.mean(hits) < 1
    assert_close(np.exp(mixed[:, 1:]), 0.5 * np.exp(log_probabilities[:, 1:]) + 0.5 * hits, 1e-5)


def test_tiny_probabilities_stay_finite():
    log_probabilities, *others = make_text()
    mixed = stream(ContinuousCache(9, 1.0, 0.5), (log_probabilities - 1e4, *others))
    assert np.all(np.isfinite(mixed))
    # What is left is the cache's part for a hit, and the vocabulary's for a miss.
    assert np.min(mixed) < -9e3 and np.max(mixed) > -5


def test_bfloat16_outputs_are_compared_in_float32():
    log_probabilities, hidden, targets = make_text()
    hidden = tf.cast(hidden, tf.bfloat16)
    cache = ContinuousCache(8, 2.0, 0.4)
    mixed = stream(cache, (log_probabilities, hidden, targets))
    expected = brute_force(cache, log_probabilities, tf.cast(hidden, tf.float32).numpy(), targets)
    assert_close(np.exp(mixed), expected, 1e-5)


@pytest.mark.parametrize(
    "settings", [(0, 1.0, 0.1), (5, -1.0, 0.1), (5, math.nan, 0.1), (5, 1.0, 1.0)]
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=rf"Received: ContinuousCache\(window={settings[0]}"):
        ContinuousCache(*settings)
