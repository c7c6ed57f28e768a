"""Tests of what may be drawn, and of drawing it."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.ops import categorical, filter_logits, run_seed, sample, sample_seeds
from tests.test_case import assert_equal, to_numpy

LOGITS = np.random.default_rng(0).normal(scale=2.0, size=(6, 50)).astype("float32")


def reference(logits, temperature, top_k, top_p):
    """One row's probabilities, sorted and cut word by word."""
    probabilities = np.zeros(len(logits))
    order = sorted(range(len(logits)), key=lambda word: (-logits[word], word))
    if temperature == 0:
        probabilities[order[0]] = 1.0
        return probabilities
    order = order[: top_k or None]
    weights = np.exp((logits[order].astype("float64") - logits[order[0]]) / temperature)
    weights /= weights.sum()
    total = 0.0
    for word, weight in zip(order, weights):
        if total >= top_p and top_p < 1:
            break
        probabilities[word] = weight
        total += weight
    return probabilities / probabilities.sum()


def probabilities_of(logits, temperature=1.0, top_k=0, top_p=1.0):
    rows = len(logits)
    settings = [np.broadcast_to(value, rows) for value in (temperature, top_k, top_p)]
    return to_numpy(tf.nn.softmax(filter_logits(logits, *settings)))


class TestFilteredLogits:
    @pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 3.0])
    @pytest.mark.parametrize("top_k,top_p", [(0, 1.0), (7, 1.0), (0, 0.7), (7, 0.7), (1, 0.2)])
    def test_against_the_reference(self, temperature, top_k, top_p):
        expected = [reference(row, temperature, top_k, top_p) for row in LOGITS]
        actual = probabilities_of(LOGITS, temperature, top_k, top_p)
        np.testing.assert_allclose(actual, expected, atol=1e-6)
        assert_equal(actual > 0, np.array(expected) > 0)

    def test_each_row_has_its_own_settings(self):
        settings = [
            (1.0, 0, 1.0),
            (0.0, 0, 1.0),
            (2.0, 3, 1.0),
            (1.0, 0, 0.5),
            (0.7, 9, 0.8),
            (1.0, 50, 1.0),
        ]
        expected = [reference(row, *some) for row, some in zip(LOGITS, settings)]
        actual = probabilities_of(LOGITS, *map(np.array, zip(*settings)))
        np.testing.assert_allclose(actual, expected, atol=1e-6)

    def test_nothing_is_removed_by_default(self):
        # The sum of so many probabilities passes 1 before the last word is reached.
        logits = np.linspace(0.0, -30.0, 20_000, dtype="float32")[np.newaxis]
        settings = ([1.0, 1.0], [20_000, 19_999], [1.0, 1.0])
        filtered = to_numpy(filter_logits(np.repeat(logits, 2, axis=0), *settings))
        assert_equal(np.isfinite(filtered).sum(axis=1), [20_000, 19_999])

    def test_equal_logits_are_taken_in_their_order(self):
        filtered = to_numpy(
            filter_logits(np.zeros((3, 5)), [1.0, 0.0, 1.0], [2, 0, 0], [1, 1, 0.5])
        )
        assert [np.flatnonzero(np.isfinite(row)).tolist() for row in filtered] == [
            [0, 1],
            [0],
            [0, 1, 2],
        ]

    @pytest.mark.parametrize("temperature,top_p", [(1e-30, 1.0), (1e-50, 1.0), (1.0, 1e-50)])
    def test_the_smallest_settings_leave_the_likeliest_word(self, temperature, top_p):
        expected = np.eye(50)[LOGITS.argmax(axis=1)]
        np.testing.assert_array_equal(probabilities_of(LOGITS, temperature, 0, top_p), expected)

    @pytest.mark.parametrize("top_k,top_p", [(0, 1.0), (3, 1.0), (49, 1.0), (0, 0.9)])
    def test_a_word_at_minus_infinity_stays_there(self, top_k, top_p):
        logits = LOGITS.copy()
        rows = np.arange(len(logits))
        best = logits.argmax(axis=1)
        logits[rows, best] = -np.inf
        probabilities = probabilities_of(logits, 0.8, top_k, top_p)
        assert np.all(probabilities[rows, best] == 0)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
        expected = [
            reference(np.where(row == -np.inf, -1e9, row), 0.8, top_k, top_p) for row in logits
        ]
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)

    def test_in_a_graph_of_unknown_sizes(self):
        specs = [
            tf.TensorSpec((None, None)),
            tf.TensorSpec((None,)),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,)),
        ]
        function = tf.function(filter_logits, input_signature=specs)
        settings = [np.float32([0.5] * 6), np.int32([9] * 6), np.float32([0.8] * 6)]
        assert_equal(function(LOGITS, *settings), filter_logits(LOGITS, *settings))

    def test_in_a_graph_of_one_row_and_settings_of_unknown_size(self):
        specs = [
            tf.TensorSpec((1, 50)),
            tf.TensorSpec((None,)),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,)),
        ]
        function = tf.function(filter_logits, input_signature=specs)
        settings = [np.float32([0.5]), np.int32([9]), np.float32([0.8])]
        assert_equal(function(LOGITS[:1], *settings), filter_logits(LOGITS[:1], *settings))


@tf.function
def draw(logits, seed, samples, step):
    return categorical(logits, sample_seeds(run_seed(seed), samples), step)


class TestDrawnWords:
    def test_words_come_as_often_as_their_probabilities_say(self):
        probabilities = np.array([0.05, 0.0, 0.5, 0.2, 0.0, 0.25])
        rows = 4000
        with np.errstate(divide="ignore"):
            logits = np.repeat(np.log(probabilities)[np.newaxis], rows, axis=0)
        words = to_numpy(draw(logits, 1, tf.range(rows), 0))
        counts = np.bincount(words, minlength=6)
        assert counts[1] == counts[4] == 0
        # Four standard deviations.
        deviation = np.sqrt(rows * probabilities * (1 - probabilities))
        assert np.all(np.abs(counts - rows * probabilities) <= 4 * deviation)

    def test_a_draw_is_a_function_of_seed_sample_and_step(self):
        logits = np.zeros((5, 10_000), "float32")
        words = to_numpy(draw(logits, 3, tf.range(5), 2))
        assert_equal(draw(logits, 3, tf.range(5), 2), words)
        # At another place of another batch.
        assert to_numpy(draw(logits[:2], 3, tf.constant([7, 4]), 2))[1] == words[4]
        seeds = sample_seeds(run_seed(3), tf.range(5))
        assert_equal(categorical(logits, seeds, tf.constant(2)), words)
        others = [
            words,
            to_numpy(draw(logits, 3, tf.range(5), 3)),
            to_numpy(draw(logits, 4, tf.range(5), 2)),
        ]
        assert len(set(np.concatenate(others))) == 15

    def test_rare_words_have_their_place(self, monkeypatch):
        # One in a billion is less than float32 can add to 1.
        logits = np.log(np.array([[1.0 - 2e-9, 1e-9, 1e-9]]))
        words = []
        for number in (0.0, 1.0 - 2.5e-9, 1.0 - 1.5e-9, 1.0 - 0.5e-9, 1.0 - 2.0**-52):
            fixed = functools.partial(lambda number, *_: tf.constant(number, tf.float64), number)
            monkeypatch.setattr("awd_keras.ops.sampling.uniform", fixed)
            words.append(int(categorical(logits, tf.constant([[1, 2]]), 0)[0]))
        assert words == [0, 0, 1, 2, 2]


class TestSampledWords:
    ROWS = 200
    WORDS = 3000

    def logits(self):
        values = np.random.default_rng(1).normal(scale=2.0, size=(self.ROWS, self.WORDS))
        return np.round(values, 1).astype("float32")  # with many equals

    def sample(self, logits, temperature, top_k, top_p):
        rows = len(logits)
        settings = [np.broadcast_to(value, rows) for value in (temperature, top_k, top_p)]
        seeds = sample_seeds(run_seed(2), tf.range(rows))
        words = to_numpy(sample(logits, *settings, seeds, 3))
        assert_equal(words, categorical(filter_logits(logits, *settings), seeds, 3))
        return words

    @pytest.mark.parametrize(
        "top_k,top_p",
        [(20, 0.9), (0, 0.9), (0, 0.01), (0, 0.9999), (500, 0.5), (1, 1.0), (0, 1.0), (2999, 1.0)],
    )
    def test_the_words_that_filtering_and_drawing_give(self, top_k, top_p):
        logits = self.logits()
        words = self.sample(logits, 0.9, top_k, top_p)
        assert len(set(words)) > 50
        for row in range(0, self.ROWS, 20):
            assert reference(logits[row], 0.9, top_k, top_p)[words[row]] > 0

    def test_a_row_does_not_depend_on_the_others(self):
        logits, rng = self.logits(), np.random.default_rng(2)
        temperature = rng.choice([0.0, 0.7, 1.3], self.ROWS)
        top_k = rng.choice([0, 5, 700], self.ROWS)
        top_p = rng.choice([0.3, 0.95, 1.0], self.ROWS)
        together = self.sample(logits, temperature, top_k, top_p)
        seeds = sample_seeds(run_seed(2), tf.range(self.ROWS))
        one = tf.function(sample, reduce_retracing=True)
        for row in range(0, self.ROWS, 10):
            at = slice(row, row + 1)
            alone = one(
                logits[at],
                np.float32(temperature[at]),
                np.int32(top_k[at]),
                np.float32(top_p[at]),
                seeds[at],
                3,
            )
            assert int(alone[0]) == together[row]

    def test_a_word_at_minus_infinity_is_not_drawn(self):
        logits = self.logits()
        logits[:, :2990] = -np.inf
        assert self.sample(logits, 1.0, 20, 0.99).min() >= 2990
