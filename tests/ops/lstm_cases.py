"""What the tests of the LSTM over a sequence share: arguments, the loop, uneven gradients."""

import numpy as np
import tensorflow as tf

from awd_keras import ops

BATCH, TIME, FEATURES, UNITS = 3, 7, 4, 5
ARGUMENTS = ("inputs", "initial_h", "initial_c", "kernel", "recurrent_kernel", "bias")
TOLERANCE = {"float64": 1e-10, "float32": 5e-6}


def make_arguments(dtype="float64", batch=BATCH, time=TIME, seed=0):
    """The six tensor arguments, in order, filled with noise."""
    generator = np.random.default_rng(seed)
    shapes = (
        (batch, time, FEATURES),
        (batch, UNITS),
        (batch, UNITS),
        (FEATURES, 4 * UNITS),
        (UNITS, 4 * UNITS),
        (4 * UNITS,),
    )
    return [tf.constant(generator.normal(size=shape), dtype) for shape in shapes]


def gradients_of(function, arguments):
    """The gradients of an uneven scalar of all three results, by argument."""
    weights = np.random.default_rng(9).normal(size=(BATCH, 100, UNITS))
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs, final_h, final_c = function(*arguments)
        factors = tf.constant(weights[: outputs.shape[0], : outputs.shape[1]], outputs.dtype)
        loss = tf.reduce_sum(outputs * factors)
        loss += 0.7 * tf.reduce_sum(final_h**2) + 0.3 * tf.reduce_sum(tf.sin(final_c))
    return tape.gradient(loss, arguments)


def portable(*arguments, **options):
    """The operation by its portable loop."""
    return ops.lstm(*arguments, implementation="portable", **options)
