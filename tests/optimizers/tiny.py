"""What the tests of the averaging optimizer share: a few variables, a small model."""

import keras
import numpy as np
import tensorflow as tf

from awd_keras.optimizers import NTASGD


def make_variables(dtype="float32"):
    return [
        keras.Variable(np.array([1.0, -2.0, 0.5]), dtype=dtype, name="first"),
        keras.Variable(np.array([[0.1, 0.7], [3.0, -0.3]]), dtype=dtype, name="second"),
    ]


def make_gradients(step, dtype="float32"):
    generator = np.random.default_rng(step)
    return [
        tf.constant(generator.normal(size=(3,)), dtype),
        tf.constant(generator.normal(size=(2, 2)), dtype),
    ]


def make_built(optimizer=None, variables=None):
    """Returns an `NTASGD` and its variables."""
    variables = make_variables() if variables is None else variables
    optimizer = NTASGD(optimizer or keras.optimizers.SGD(0.5))
    optimizer.build(variables)
    return optimizer, variables


def values(variables):
    return [variable.numpy().copy() for variable in variables]


def averages(optimizer, variables):
    """Returns the averages as `averaged_weights` swaps them in."""
    with optimizer.averaged_weights():
        return values(variables)


def make_model(optimizer, features=3):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(2)])
    model.compile(optimizer, "mse")
    return model


def make_data(rows=8, features=3):
    generator = np.random.default_rng(5)
    return generator.normal(size=(rows, features)), generator.normal(size=(rows, 2))
