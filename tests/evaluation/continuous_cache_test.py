"""The continuous cache against loops over every word and every entry."""

import math

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.evaluation import ContinuousCache
from tests.evaluation.tiny import brute_force
from tests.test_case import assert_close, assert_equal

BATCH, TIME, FEATURES, WORDS = 3, 23, 5, 7


def make_text(dtype="float32", time=TIME, seed=0):
    """log-probabilities of the targets, outputs, targets."""
    generator = np.random.default_rng(seed)
    hidden = generator.uniform(-1, 1, (BATCH, time, FEATURES)).astype(dtype)
    targets = generator.integers(WORDS, size=(BATCH, time)).astype("int32")
    return generator.uniform(-9, -0.1, (BATCH, time)).astype(dtype), hidden, targets


def stream(cache, log_probabilities, hidden, targets, lengths):
    """The same by the cache, in chunks of given lengths."""
    assert sum(lengths) == targets.shape[1]
    state = cache.initial_state(len(targets), hidden.shape[-1], log_probabilities.dtype)
    pieces, start = [], 0
    for length in lengths:
        part = slice(start, start + length)
        piece, state = cache.mix(
            log_probabilities[:, part], hidden[:, part], targets[:, part], state
        )
        pieces.append(piece.numpy())
        start += length
        assert state[0].shape == (len(targets), min(start, cache.window), hidden.shape[-1])
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("only_full", [False, True])
@pytest.mark.parametrize("window", [1, 4, 10, 22, 23, 100])
@pytest.mark.parametrize("lengths", [[TIME], [1] * TIME, [5, 1, 9, 8], [20, 3]])
def test_equals_brute_force(window, only_full, lengths):
    text = make_text()
    for theta, lambda_ in ((0.0, 0.3), (0.7, 0.1), (3.0, 0.95)):
        cache = ContinuousCache(window, theta, lambda_, only_full)
        expected = brute_force(cache, *text)
        assert_close(np.exp(stream(cache, *text, lengths)), expected, 1e-5)
        if window < TIME - 1 or not only_full:  # then the cache changes something
            assert np.max(np.abs(expected - np.exp(text[0]))) > 0.01


@pytest.mark.parametrize("only_full", [False, True])
def test_equals_brute_force_in_float64(only_full):
    text = make_text("float64")
    cache = ContinuousCache(6, 1.5, 0.2, only_full)
    mixed = stream(cache, *text, [10, 13])
    assert mixed.dtype == np.float64
    assert_close(np.exp(mixed), brute_force(cache, *text), 1e-13)


def test_the_first_words_when_the_window_fills():
    log_probabilities, hidden, targets = make_text()
    filling = stream(ContinuousCache(4, 1.0, 0.3), log_probabilities, hidden, targets, [TIME])
    full = stream(ContinuousCache(4, 1.0, 0.3, True), log_probabilities, hidden, targets, [TIME])
    assert_equal(filling[:, 0], log_probabilities[:, 0])
    assert np.all(filling[:, 1:4] != log_probabilities[:, 1:4])
    assert_equal(full[:, :4], log_probabilities[:, :4])
    assert_equal(full[:, 4:], filling[:, 4:])
    assert np.all(full[:, 4] != log_probabilities[:, 4])


def test_a_word_that_is_not_in_the_cache():
    log_probabilities, hidden, targets = make_text()
    targets = np.broadcast_to(np.arange(TIME, dtype="int32"), (BATCH, TIME))
    mixed = stream(ContinuousCache(10, 1.0, 0.25), log_probabilities, hidden, targets, [TIME])
    assert_close(mixed[:, 1:], log_probabilities[:, 1:] + math.log(0.75), 1e-6)


def test_without_weight_nothing_changes():
    text = make_text()
    assert_close(stream(ContinuousCache(5, 1.0, 0.0), *text, [TIME]), text[0], 1e-6)


@pytest.mark.parametrize("theta", [1e4, 1e30, 3e38])
def test_a_large_theta_takes_the_most_similar(theta):
    log_probabilities, hidden, targets = make_text()
    # Whole numbers, so that similarities are exact, and all different.
    hidden = np.zeros_like(hidden)
    hidden[:, :, 0] = np.arange(1, TIME + 1)
    targets = np.tile(np.array([3, 3, 4], "int32"), 8)[:TIME] + np.zeros((BATCH, 1), "int32")
    mixed = stream(ContinuousCache(9, theta, 0.5), log_probabilities, hidden, targets, [TIME])
    # The most similar state is the last one.
    hits = (targets[:, 1:] == targets[:, :-1]).astype("float32")
    expected = 0.5 * np.exp(log_probabilities[:, 1:]) + 0.5 * hits
    assert_close(np.exp(mixed[:, 1:]), expected, 1e-5)


def test_tiny_probabilities_stay_finite():
    log_probabilities, hidden, targets = make_text()
    mixed = stream(ContinuousCache(9, 1.0, 0.5), log_probabilities - 1e4, hidden, targets, [TIME])
    assert np.all(np.isfinite(mixed))
    # exp of either would be 0: what is left is the part of the cache, or of the vocabulary.
    assert np.min(mixed) < -9e3 and np.max(mixed) > -5


def test_bfloat16_outputs_are_compared_in_float32():
    log_probabilities, hidden, targets = make_text()
    half = tf.cast(hidden, tf.bfloat16)
    cache = ContinuousCache(8, 2.0, 0.4)
    state = cache.initial_state(BATCH, FEATURES)
    mixed, state = cache.mix(log_probabilities, half, targets, state)
    assert mixed.dtype == state[0].dtype == tf.float32
    rounded = tf.cast(half, tf.float32).numpy()
    expected = brute_force(cache, log_probabilities, rounded, targets)
    assert_close(tf.exp(mixed), expected, 1e-5)


def test_one_graph_for_chunks_of_any_length():
    text = make_text()
    cache = ContinuousCache(6, 1.0, 0.2)
    spec = tf.TensorSpec((None, None), tf.float32)
    vectors, words = tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, None), tf.int32)
    mix = tf.function(cache.mix, input_signature=[spec, vectors, words, (vectors, words)])
    state = cache.initial_state(BATCH, FEATURES)
    pieces = []
    for part in (slice(0, 2), slice(2, 15), slice(15, TIME)):
        piece, state = mix(*(tf.constant(array[:, part]) for array in text), state)
        pieces.append(piece)
    assert_close(tf.exp(tf.concat(pieces, axis=1)), brute_force(cache, *text), 1e-5)
    assert mix.experimental_get_tracing_count() == 1


class TestDistribution:
    @pytest.mark.parametrize("only_full", [False, True])
    @pytest.mark.parametrize("window", [3, 50])
    def test_is_a_distribution_and_that_of_the_targets(self, window, only_full):
        _, hidden, targets = make_text()
        logits = np.random.default_rng(1).normal(size=(BATCH, TIME, WORDS)).astype("float32")
        probabilities = tf.nn.softmax(logits)
        of_targets = tf.math.log(tf.gather(probabilities, targets, batch_dims=2))
        cache = ContinuousCache(window, 1.0, 0.3, only_full)
        state = cache.initial_state(BATCH, FEATURES)
        for part in (slice(0, 9), slice(9, TIME)):
            pieces = hidden[:, part], targets[:, part], state
            mixed = cache.mix_distribution(probabilities[:, part], *pieces)
            expected, state = cache.mix(of_targets[:, part], *pieces)
            assert_close(tf.reduce_sum(mixed, axis=-1), np.ones_like(targets[:, part]), 1e-5)
            found = tf.gather(mixed, targets[:, part], batch_dims=2)
            assert_close(found, tf.exp(expected), 1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ((0, 1.0, 0.1), "`window` must be an integer >= 1. Received: window=0"),
        ((2.0, 1.0, 0.1), "`window` must be an integer"),
        ((True, 1.0, 0.1), "`window` must be an integer"),
        ((5, -1.0, 0.1), "`theta` must be a finite number >= 0"),
        ((5, math.inf, 0.1), "`theta` must be a finite"),
        ((5, math.nan, 0.1), "`theta` must be a finite"),
        ((5, 1.0, 1.0), r"`lambda_` must be in \[0, 1\). Received: lambda_=1.0"),
        ((5, 1.0, -0.1), "`lambda_` must be"),
        ((5, 1.0, math.nan), "`lambda_` must be"),
        ((5, 1.0, "0.1"), "`lambda_` must be"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        ContinuousCache(*settings)
