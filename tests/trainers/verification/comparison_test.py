"""Tests of how far apart two tensors are."""

import math

import keras
import numpy as np
import tensorflow as tf

from trainers.verification import relative_error, to_numpy, worst


class TestRelativeError:
    def test_is_measured_by_the_largest_number(self):
        assert relative_error([[1.0, -4.0]], [[1.5, -5.0]]) == 0.2
        assert relative_error(tf.constant([3.0]), keras.Variable([3.0])) == 0.0

    def test_zeros_are_measured_by_themselves(self):
        assert relative_error([0.25, 0.0], [0.0, 0.0]) == 0.25

    def test_shapes(self):
        assert relative_error(np.ones((2, 1)), np.ones((1, 2))) == math.inf
        assert relative_error(np.ones(1), 1.0) == math.inf

    def test_what_is_no_number_is_never_near(self):
        assert math.isnan(relative_error([1.0, math.nan], [1.0, 1.0]))
        assert math.isnan(relative_error([1.0, 1.0], [1.0, math.nan]))
        assert not relative_error([math.inf], [1.0]) <= 1e9

    def test_half_precision_and_slices(self):
        third = tf.constant([1 / 3], "bfloat16")
        assert to_numpy(third).dtype == "float32"
        assert 1e-4 < relative_error(third, [1 / 3]) < 4e-3
        slices = tf.IndexedSlices(tf.constant([[1.0], [2.0]]), tf.constant([1, 1]), (3, 1))
        assert relative_error(slices, [[0.0], [3.0], [0.0]]) == 0.0


class TestWorst:
    def test_names_it(self):
        comparisons = [("a", [1.0], [1.0]), ("b", [1.0], [2.0]), ("c", [1.5], [2.0])]
        assert worst(iter(comparisons)) == (0.5, "b")

    def test_nan_is_the_worst_wherever_it_stands(self):
        bad, good = ("bad", [math.nan], [1.0]), ("good", [3.0], [1.0])
        for comparisons in ([bad, good], [good, bad]):
            error, name = worst(comparisons)
            assert math.isnan(error) and name == "bad"
