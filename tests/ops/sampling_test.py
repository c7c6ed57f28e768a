"""Tests of filtering logits and of sampling words."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.ops import categorical, filter_logits, run_seed, sample, sample_seeds
from tests.test_case import assert_equal, to_numpy

LOGITS = np.random.default_rng(0).normal(scale=2.0, size=(6, 50)).astype("float32")
ROWS, WORDS = 30, 3000

_SETTINGS = [
    tf.TensorSpec((None, None)),
    tf.TensorSpec((None,)),
    tf.TensorSpec((None,), tf.int32),
    tf.TensorSpec((None,)),
]
_SEEDS = [tf.TensorSpec((None, 2), tf.int32), tf.TensorSpec((), tf.int32)]
traced_filter = tf.function(filter_logits, input_signature=_SETTINGS)
traced_sample = tf.function(sample, input_signature=_SETTINGS + _SEEDS)
traced_categorical = tf.function(categorical, input_signature=_SETTINGS[:1] + _SEEDS)
traced_seeds = tf.function(lambda seed, count: sample_seeds(run_seed(seed), tf.range(count)))


def reference(logits, temperature, top_k, top_p):
    """Sorts the words of one row and removes them one by one; returns probabilities."""
    probabilities = np.zeros(len(logits))
    order = sorted(range(len(logits)), key=lambda word: (-logits[word], word))
    if temperature == 0:
        probabilities[order[0]] = 1.0
        return probabilities
    order = order[: top_k or None]
    weights = np.exp((logits[order].astype("float64") - logits[order[0]]) / temperature)
    weights /= weights.sum()
    total = 0.0
    for word, weight in zip(order, weights, strict=True):
        if total >= top_p and top_p < 1:
            break
        probabilities[word] = weight
        total += weight
    return probabilities / probabilities.sum()


def broadcast(rows, temperature=1.0, top_k=0, top_p=1.0):
    types = (temperature, "float32"), (top_k, "int32"), (top_p, "float32")
    return [np.broadcast_to(value, rows).astype(dtype) for value, dtype in types]


def probabilities_of(logits, *settings):
    return to_numpy(tf.nn.softmax(traced_filter(logits, *broadcast(len(logits), *settings))))


class TestFilterLogits:
    @pytest.mark.parametrize("temperature", [0.0, 0.5, 3.0])
    @pytest.mark.parametrize("top_k,top_p", [(0, 1.0), (7, 1.0), (0, 0.7), (7, 0.7), (1, 0.2)])
    def test_equals_reference(self, temperature, top_k, top_p):
        expected = np.array([reference(row, temperature, top_k, top_p) for row in LOGITS])
        actual = probabilities_of(LOGITS, temperature, top_k, top_p)
        np.testing.assert_allclose(actual, expected, atol=1e-6)
        assert_equal(actual > 0, expected > 0)

    def test_each_row_has_its_own_settings(self):
        settings = [(1, 0, 1), (0, 0, 1), (2, 3, 1), (1, 0, 0.5), (0.7, 9, 0.8), (1, 50, 1)]
        expected = [reference(row, *some) for row, some in zip(LOGITS, settings, strict=True)]
        actual = probabilities_of(LOGITS, *map(np.array, zip(*settings, strict=True)))
        np.testing.assert_allclose(actual, expected, atol=1e-6)

    def test_removes_nothing_by_default(self):
        # The sum of so many probabilities reaches 1 before the last word.
        logits = np.tile(np.linspace(0.0, -30.0, 20_000, dtype="float32"), (2, 1))
        filtered = to_numpy(traced_filter(logits, *broadcast(2, 1.0, [20_000, 19_999])))
        assert_equal(np.isfinite(filtered).sum(axis=1), [20_000, 19_999])

    def test_equal_logits_keep_the_order_of_the_vocabulary(self):
        settings = broadcast(3, [1.0, 0.0, 1.0], [2, 0, 0], [1, 1, 0.5])
        filtered = to_numpy(filter_logits(np.zeros((3, 5)), *settings))
        kept = [np.flatnonzero(np.isfinite(row)).tolist() for row in filtered]
        assert kept == [[0, 1], [0], [0, 1, 2]]

    @pytest.mark.parametrize("temperature,top_p", [(1e-30, 1.0), (1e-50, 1.0), (1.0, 1e-50)])
    def test_tiny_settings_keep_one_word(self, temperature, top_p):
        settings = [np.full(6, value) for value in (temperature, 0, top_p)]
        filtered = to_numpy(tf.nn.softmax(filter_logits(LOGITS, *settings)))
        assert_equal(filtered, np.eye(50)[LOGITS.argmax(axis=1)])

    @pytest.mark.parametrize("top_k,top_p", [(0, 1.0), (3, 1.0), (49, 1.0), (0, 0.9)])
    def test_minus_infinity_stays(self, top_k, top_p):
        logits = LOGITS.copy()
        logits[np.arange(6), logits.argmax(axis=1)] = -np.inf
        finite = np.maximum(logits, -1e9)
        expected = [reference(row, 0.8, top_k, top_p) for row in finite]
        np.testing.assert_allclose(probabilities_of(logits, 0.8, top_k, top_p), expected, atol=1e-6)


class TestCategorical:
    def test_frequencies(self):
        probabilities = np.array([0.05, 0.0, 0.5, 0.2, 0.0, 0.25])
        with np.errstate(divide="ignore"):
            logits = np.tile(np.log(probabilities), (2000, 1)).astype("float32")
        words = traced_categorical(logits, traced_seeds(1, 2000), 0)
        counts = np.bincount(words, minlength=6)
        assert counts[1] == counts[4] == 0
        deviation = np.sqrt(2000 * probabilities * (1 - probabilities))
        assert np.all(np.abs(counts - 2000 * probabilities) <= 4 * deviation)

    def test_is_a_function_of_seed_sample_and_step(self):
        def draw(seed, samples, step):
            seeds = sample_seeds(run_seed(seed), tf.constant(samples))
            logits = np.zeros((len(samples), 10_000), "float32")
            return to_numpy(traced_categorical(logits, seeds, step)).tolist()

        words = draw(3, [0, 1, 2, 3, 4], 2)
        assert draw(3, [7, 4], 2)[1] == words[4]
        others = draw(3, [0, 1, 2, 3, 4], 3) + draw(4, [0, 1, 2, 3, 4], 2)
        assert len(set(words + others)) == 15

    def test_rare_words_can_be_sampled(self, monkeypatch):
        # One in a billion is less than float32 can add to 1.
        logits = np.log(np.array([[1.0 - 2e-9, 1e-9, 1e-9]]))
        words = []
        for number in (0.0, 1.0 - 2.5e-9, 1.0 - 1.5e-9, 1.0 - 0.5e-9, 1.0 - 2.0**-52):
            fixed = tf.constant(number, tf.float64)
            monkeypatch.setattr(tf.random, "stateless_uniform", lambda *_, fixed=fixed, **__: fixed)
            words.append(int(categorical(logits, tf.constant([[1, 2]]), 0)[0]))
        assert words == [0, 0, 1, 2, 2]


class TestSample:
    def make_logits(self):
        logits = np.random.default_rng(1).normal(scale=2.0, size=(ROWS, WORDS))
        return np.round(logits, 1).astype("float32")  # many equal ones

    def sample(self, logits, *settings):
        settings, seeds = broadcast(ROWS, *settings), traced_seeds(2, ROWS)
        words = to_numpy(traced_sample(logits, *settings, seeds, 3))
        filtered = traced_filter(logits, *settings)
        assert_equal(words, traced_categorical(filtered, seeds, 3))
        return words

    @pytest.mark.parametrize(
        "top_k,top_p", [(20, 0.9), (0, 0.9), (0, 0.01), (0, 0.9999), (500, 0.5), (1, 1.0), (0, 1.0)]
    )
    def test_equals_filtering_and_sampling(self, top_k, top_p):
        logits = self.make_logits()
        words = self.sample(logits, 0.9, top_k, top_p)
        for row in (0, 1):
            assert reference(logits[row], 0.9, top_k, top_p)[words[row]] > 0

    def test_a_row_does_not_depend_on_the_others(self):
        logits, rng = self.make_logits(), np.random.default_rng(2)
        choices = [0.0, 0.7, 1.3], [0, 5, 700], [0.3, 0.95, 1.0]
        settings = broadcast(ROWS, *(rng.choice(values, ROWS) for values in choices))
        together = self.sample(logits, *settings)
        seeds = traced_seeds(2, ROWS)
        for row in range(0, ROWS, 3):
            rows = slice(row, row + 1)
            alone = [values[rows] for values in (logits, *settings, seeds)]
            assert int(traced_sample(*alone, 3)[0]) == together[row]

    def test_minus_infinity_is_not_sampled(self):
        logits = self.make_logits()
        logits[:, :-10] = -np.inf
        assert self.sample(logits, 1.0, 20, 0.99).min() >= WORDS - 10
