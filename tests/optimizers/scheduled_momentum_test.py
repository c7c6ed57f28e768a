"""Compares the optimizers with scheduled momentum with those of Keras, and with NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.optimizers import ScheduledMomentumAdam, ScheduledMomentumSGD

GRADIENTS = np.random.default_rng(3).normal(size=(6, 4)).astype("float32")
MOMENTA = [0.9, 0.8, 0.5, 0.5, 0.7, 0.9]
KINDS = {
    "sgd": (ScheduledMomentumSGD, keras.optimizers.SGD, "momentum", 0.5),
    "adam": (ScheduledMomentumAdam, keras.optimizers.Adam, "beta_1", 0.01),
}


def trajectory(optimizer, momenta=None):
    weight = keras.Variable(np.zeros(4, "float32"))
    optimizer.build([weight])

    @tf.function(input_signature=[tf.TensorSpec((4,))])
    def step(gradient):
        optimizer.apply([gradient], [weight])

    points = []
    for index, gradient in enumerate(GRADIENTS):
        if momenta is not None:
            optimizer.assign_momentum(momenta[index])
        step(tf.constant(gradient))
        points.append(weight.numpy())
    return np.array(points)


@pytest.mark.parametrize("kind", KINDS)
def test_with_constant_momentum_it_equals_keras(kind):
    scheduled, plain, name, rate = KINDS[kind]
    arguments = {name: 0.8, "weight_decay": 0.1}
    optimizer = scheduled(rate, **arguments)
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    np.testing.assert_allclose(
        trajectory(revived),
        trajectory(plain(rate, **arguments)),
        rtol=2e-6,
        atol=1e-7,  # where it crosses zero
    )


def test_sgd_against_numpy():
    weight = velocity = np.zeros(4)
    expected = []
    for gradient, momentum in zip(GRADIENTS.astype("float64"), MOMENTA):
        velocity = momentum * velocity - 0.5 * gradient
        weight = weight + velocity
        expected.append(weight)
    actual = trajectory(ScheduledMomentumSGD(0.5, momentum=0.1), MOMENTA)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_adam_against_numpy():
    weight = mean = variance = np.zeros(4)
    expected = []
    for step, (gradient, beta) in enumerate(zip(GRADIENTS.astype("float64"), MOMENTA), 1):
        mean = beta * mean + (1 - beta) * gradient
        variance = 0.99 * variance + 0.01 * gradient**2
        rate = 0.01 * np.sqrt(1 - 0.99**step) / (1 - beta**step)
        weight = weight - rate * mean / (np.sqrt(variance) + 1e-7)
        expected.append(weight)
    actual = trajectory(ScheduledMomentumAdam(0.01, beta_1=0.1, beta_2=0.99), MOMENTA)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
