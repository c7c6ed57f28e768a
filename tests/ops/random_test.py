"""Tests of the masks that are pure functions of a seed."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_equal, seed_tensor


class TestDropoutMask:
    @pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.8])
    def test_drops_at_the_rate_and_scales_survivors(self, rate):
        mask = ops.dropout_mask((200, 200), rate, seed_tensor(), "float64").numpy()
        np.testing.assert_allclose(np.unique(mask), [0.0, 1.0 / (1.0 - rate)], rtol=1e-14)
        assert abs(np.mean(mask == 0.0) - rate) < 0.015

    @pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 3), (7, 9)])
    @pytest.mark.parametrize("rate", [0.3, 0.5])
    def test_sizes_that_fill_no_word(self, shape, rate):
        mask = ops.dropout_mask(shape, rate, seed_tensor(), "float32")
        assert mask.shape == shape

    def test_is_a_function_of_the_seed(self):
        first = ops.dropout_mask((8, 8), 0.5, seed_tensor(1, 2), "float32")
        assert_equal(ops.dropout_mask((8, 8), 0.5, seed_tensor(1, 2), "float32"), first)
        for other in (seed_tensor(1, 3), seed_tensor(2, 2)):
            mask = ops.dropout_mask((8, 8), 0.5, other, "float32")
            assert np.any(mask.numpy() != first.numpy())

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
    def test_drops_the_same_entries_in_every_type(self, dtype):
        exact = ops.dropout_mask((8, 8), 0.3, seed_tensor(), "float32")
        mask = ops.dropout_mask((8, 8), 0.3, seed_tensor(), dtype)
        assert mask.dtype == dtype
        assert_equal(mask == 0, exact == 0)

    def test_traced_equals_eager(self):
        def draw(seed):
            return ops.dropout_mask((8, 8), 0.5, seed, "float32")

        assert_equal(tf.function(draw)(seed_tensor()), draw(seed_tensor()))


class TestSeed:
    def test_run_seeds_differ(self):
        seeds = [ops.run_seed(seed) for seed in (0, 1, 141, 2**31, 2**31 + 1)]
        assert all(seed.shape == (2,) and seed.dtype == "int32" for seed in seeds)
        assert len({tuple(seed.numpy()) for seed in seeds}) == len(seeds)

    def test_folding_gives_different_seeds(self):
        seeds = [ops.fold_in(seed_tensor(), number) for number in range(20)]
        seeds += [ops.fold_in(seed_tensor(2, 1), number) for number in range(20)]
        assert all(seed.shape == (2,) and seed.dtype == "int32" for seed in seeds)
        assert len({tuple(seed.numpy()) for seed in seeds}) == len(seeds)

    def test_folding_a_tensor_equals_folding_its_number(self):
        expected = ops.fold_in(seed_tensor(), 7)
        traced = tf.function(ops.fold_in)(seed_tensor(), tf.constant(7))
        assert_equal(traced, expected)
