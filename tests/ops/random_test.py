"""Tests of masks and seeds."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_equal, seed_tensor


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.8])
def test_mask(rate):
    mask = ops.dropout_mask((200, 201), rate, seed_tensor(), "float64").numpy()
    np.testing.assert_allclose(np.unique(mask), [0.0, 1.0 / (1.0 - rate)], rtol=1e-14)
    assert abs(np.mean(mask == 0.0) - rate) < 0.015


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 3)])
@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_shapes_that_do_not_fill_a_random_number(shape, rate):
    assert ops.dropout_mask(shape, rate, seed_tensor(), "float32").shape == shape


def test_an_integer_rate():
    assert_equal(ops.dropout_mask((2, 3), 0, seed_tensor(), "float32"), np.ones((2, 3)))


def test_mask_is_a_function_of_the_seed():
    draw = tf.function(lambda seed: ops.dropout_mask((8, 8), 0.5, seed, "float32"))
    first = ops.dropout_mask((8, 8), 0.5, seed_tensor(), "float32")
    assert_equal(draw(seed_tensor()), first)
    for other in (seed_tensor(1, 3), seed_tensor(2, 2)):
        assert np.any(draw(other).numpy() != first.numpy())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_every_dtype_drops_the_same_entries(dtype):
    exact = ops.dropout_mask((8, 8), 0.3, seed_tensor(), "float32")
    mask = ops.dropout_mask((8, 8), 0.3, seed_tensor(), dtype)
    assert mask.dtype == dtype
    assert_equal(mask == 0, exact == 0)


def test_seeds_differ():
    seeds = [ops.run_seed(seed) for seed in (0, 1, 141, 2**31, 2**31 + 1)]
    seeds += [ops.fold_in(seed, index) for seed in seeds[:2] for index in range(20)]
    assert all(seed.shape == (2,) and seed.dtype == "int32" for seed in seeds)
    assert len({tuple(seed.numpy()) for seed in seeds}) == len(seeds)


def test_folding_in_a_tensor():
    traced = tf.function(ops.fold_in)(seed_tensor(), tf.constant(7))
    assert_equal(traced, ops.fold_in(seed_tensor(), 7))
