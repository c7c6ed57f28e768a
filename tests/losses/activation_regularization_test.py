"""Tests of AR and TAR."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import losses
from tests.test_case import assert_close, assert_equal

SHAPE = (3, 5, 4)


def make_outputs(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def temporal(outputs, beta):
    return beta * np.mean((outputs[:, 1:] - outputs[:, :-1]) ** 2)


class TestActivationRegularization:
    @pytest.mark.parametrize("dtype,tolerance", [("float64", 1e-14), ("float32", 1e-6)])
    @pytest.mark.parametrize("shape", [SHAPE, (1, 5, 4), (3, 1, 4), (1, 1, 1)])
    def test_equals_numpy(self, dtype, tolerance, shape):
        outputs = make_outputs(shape)
        loss = losses.activation_regularization(tf.constant(outputs, dtype), 2.0)
        assert loss.shape == () and loss.dtype == dtype
        assert_close(loss, 2.0 * np.mean(outputs**2), tolerance)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_float32_from_half_precision(self, dtype):
        # 4096 equal squares: a sum in half precision would stop growing long before.
        outputs = tf.fill((8, 64, 8), tf.cast(0.5, dtype))
        loss = losses.activation_regularization(outputs, 1.0)
        assert loss.dtype == "float32"
        assert float(loss) == 0.25


class TestTemporalActivationRegularization:
    @pytest.mark.parametrize("dtype,tolerance", [("float64", 1e-14), ("float32", 1e-6)])
    # Shapes that a mix-up of the batch and time axes would get wrong.
    @pytest.mark.parametrize("shape", [SHAPE, (1, 5, 4), (5, 2, 4), (1, 2, 1)])
    def test_equals_numpy_along_axis_one(self, dtype, tolerance, shape):
        outputs = make_outputs(shape)
        loss = losses.temporal_activation_regularization(tf.constant(outputs, dtype), 1.5)
        assert loss.shape == () and loss.dtype == dtype
        assert_close(loss, temporal(outputs, 1.5), tolerance)

    @pytest.mark.parametrize("batch", [1, 3])
    @pytest.mark.parametrize("traced", [False, True])
    def test_zero_for_one_time_step(self, batch, traced):
        outputs = tf.constant(make_outputs((batch, 1, 4)), "float32")

        def compute(outputs):
            with tf.GradientTape() as tape:
                tape.watch(outputs)
                loss = losses.temporal_activation_regularization(outputs, 1.0)
            gradient = tape.gradient(
                loss, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            return loss, gradient

        if traced:
            compute = tf.function(compute, input_signature=[tf.TensorSpec((None, None, 4))])
        loss, gradient = compute(outputs)
        assert float(loss) == 0.0
        assert_equal(gradient, np.zeros((batch, 1, 4)))


@pytest.mark.parametrize("time_major", [False, True])
def test_padding_does_not_count(time_major):
    outputs = make_outputs().astype("float32")
    padded = np.concatenate([outputs, make_outputs((3, 2, 4), seed=1)], axis=1).astype("float32")
    mask = np.arange(7) < np.full((3, 1), 5)
    ar = losses.activation_regularization(padded, 2.0, mask=mask)
    assert_close(ar, losses.activation_regularization(outputs, 2.0), 1e-6)
    expected = losses.temporal_activation_regularization(outputs, 2.0)
    if time_major:
        padded, mask = padded.transpose(1, 0, 2), mask.T
    tar = losses.temporal_activation_regularization(padded, 2.0, time_major, mask=mask)
    assert_close(tar, expected, 1e-6)
    nothing = losses.activation_regularization(padded, 2.0, mask=np.zeros_like(mask))
    assert float(nothing) == 0.0
