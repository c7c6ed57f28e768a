"""Compares the LSTM kernels in every precision with the portable kernel in float64."""

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
SHAPES = {  # of 4 rows, 7 time steps, 12 features and 24 units
    "inputs": (4, 7, 12),
    "initial h": (4, 24),
    "initial c": (4, 24),
    "kernel": (12, 96),
    "recurrent kernel": (24, 96),
    "bias": (96,),
}


def compare_kernels(implementation, dtype):
    """Returns (name, actual, expected) of outputs, final states and gradients."""
    generator, arguments = np.random.default_rng(13), []
    for name, shape in SHAPES.items():
        is_state = name.startswith("initial") and dtype != "float64"
        values = generator.normal(size=shape, scale=0.4)
        arguments.append(tf.cast(values, "float32" if is_state else dtype))
    exact = [tf.cast(argument, tf.float64) for argument in arguments]
    timesteps = SHAPES["inputs"][1]
    padding = tf.sequence_mask([timesteps, 2, 0, 1], timesteps)
    comparisons = []
    for case, mask in (("", None), (", mask", padding)):
        expected = _run("portable", exact, mask, True)
        for mode, training in (("training", True), ("inference", False)):
            results = tf.function(_run)(implementation, arguments, mask, training)
            comparisons += [(f"{mode}{case}, {n}", results[n], expected[n]) for n in expected]
    return comparisons


def _run(implementation, arguments, mask, training):
    lstm = functools.partial(ops.lstm, implementation=implementation, training=training)
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs, h, c = (tf.cast(x, tf.float64) for x in lstm(*arguments, mask=mask))
        factors = tf.random.stateless_normal(tf.shape(outputs), (1, 2), dtype=tf.float64)
        loss = tf.reduce_sum(outputs * factors) + tf.reduce_sum(h**2) + tf.reduce_sum(tf.sin(c))
    gradients = zip(SHAPES, tape.gradient(loss, arguments), strict=True)
    results = {"outputs": outputs, "final h": h, "final c": c}
    return results | {f"gradient of {name}": gradient for name, gradient in gradients}
