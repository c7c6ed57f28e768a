"""Tests of SGD in place: against Keras's own, before and after NT-ASGD's trigger."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.optimizers import NTASGD, InPlaceSGD
from tests.test_case import assert_close

GRADIENTS = np.random.default_rng(4).normal(size=(5, 3, 4))
TOLERANCES = {"float64": 1e-12, "float32": 1e-6, "bfloat16": 1e-2}


def trajectory(optimizer, dtype, **arguments):
    weight = keras.Variable(np.linspace(-2, 2, 12).reshape(3, 4), dtype=dtype)
    optimizer.build([weight])

    @tf.function
    def step(gradient):
        optimizer.apply([gradient], [weight], **arguments)

    points = []
    for gradient in GRADIENTS:
        step(tf.constant(gradient, dtype))
        points.append(tf.cast(tf.convert_to_tensor(weight), "float64").numpy())
    return np.array(points)


@pytest.mark.parametrize("weight_decay", [None, 0.1])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_equals_keras(dtype, weight_decay):
    expected = trajectory(keras.optimizers.SGD(0.5, weight_decay=weight_decay), dtype)
    actual = trajectory(InPlaceSGD(0.5, weight_decay=weight_decay), dtype)
    assert_close(actual, expected, TOLERANCES[dtype])


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, NTASGD])
@pytest.mark.parametrize("weight_decay", [None, 0.1])
def test_gradient_scale_is_on_the_gradient_alone(weight_decay, wrap):
    def made():
        return InPlaceSGD(0.5, weight_decay=weight_decay)

    scaled = trajectory(wrap(made()), "float32", gradient_scale=tf.constant(0.25))
    gradients = GRADIENTS * 0.25
    weight, expected = np.linspace(-2, 2, 12).reshape(3, 4), []
    for gradient in gradients:
        weight = weight - 0.5 * (gradient + (weight_decay or 0.0) * weight)
        expected.append(weight)
    assert_close(scaled, np.array(expected), 1e-6)


def test_other_optimizers_get_scaled_gradients():
    scaled = trajectory(NTASGD(keras.optimizers.SGD(0.5, 0.9)), "float32", gradient_scale=0.5)
    halved = trajectory(NTASGD(keras.optimizers.SGD(0.25, 0.9)), "float32")
    assert_close(scaled, halved, 1e-6)


@pytest.mark.parametrize("arguments", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_refuses_momentum(arguments):
    with pytest.raises(ValueError, match="no momentum"):
        InPlaceSGD(0.1, **arguments)


def test_weights_excluded_from_decay():
    weight = keras.Variable([1.0], name="bias")
    optimizer = InPlaceSGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([weight])
    optimizer.apply([tf.constant([1.0])])
    assert float(weight[0]) == 0.5
