"""The LSTM kernels in every precision against the portable one in float64."""

import functools

import numpy as np
import tensorflow as tf

from awd_keras import ops

LIMITS = {
    ("portable", "float32"): 2e-5,
    ("portable", "bfloat16"): 5e-2,
    ("cudnn", "float64"): 1e-9,
    ("cudnn", "float32"): 1e-4,
    ("cudnn", "bfloat16"): 5e-2,
}
_BATCH_SIZE, _TIMESTEPS, _FEATURES, _UNITS = 4, 7, 12, 24
_ARGUMENTS = ("inputs", "initial h", "initial c", "kernel", "recurrent kernel", "bias")


def compare_kernels(implementation, dtype):
    """Compares outputs, final states and gradients, in training and inference.

    Args:
        implementation: Argument of `ops.lstm`.
        dtype: Dtype of inputs and weights.

    Returns:
        List of (name, actual, expected).
    """
    arguments = _random_arguments(dtype)
    exact = [tf.cast(argument, tf.float64) for argument in arguments]
    padding = tf.sequence_mask([_TIMESTEPS, 2, 0, 1], _TIMESTEPS)
    comparisons = []
    for case, mask in (("", None), (", mask", padding)):
        expected = _run("portable", exact, mask, True)
        for mode, training in (("training", True), ("inference", False)):
            results = tf.function(_run)(implementation, arguments, mask, training)
            comparisons += [(f"{mode}{case}, {n}", results[n], expected[n]) for n in expected]
    return comparisons


def _random_arguments(dtype):
    generator = np.random.default_rng(13)
    states = "float64" if dtype == "float64" else "float32"
    shapes_and_dtypes = [
        ((_BATCH_SIZE, _TIMESTEPS, _FEATURES), dtype),
        ((_BATCH_SIZE, _UNITS), states),
        ((_BATCH_SIZE, _UNITS), states),
        ((_FEATURES, 4 * _UNITS), dtype),
        ((_UNITS, 4 * _UNITS), dtype),
        ((4 * _UNITS,), dtype),
    ]
    return [tf.cast(generator.normal(size=s, scale=0.4), to) for s, to in shapes_and_dtypes]


def _run(implementation, arguments, mask, training):
    lstm = functools.partial(ops.lstm, implementation=implementation, training=training)
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs, h, c = (tf.cast(x, tf.float64) for x in lstm(*arguments, mask=mask))
        factors = tf.random.stateless_normal(tf.shape(outputs), (1, 2), dtype=tf.float64)
        loss = tf.reduce_sum(outputs * factors) + tf.reduce_sum(h**2) + tf.reduce_sum(tf.sin(c))
    gradients = zip(_ARGUMENTS, tape.gradient(loss, arguments), strict=True)
    results = {"outputs": outputs, "final h": h, "final c": c}
    return results | {f"gradient of {name}": gradient for name, gradient in gradients}
