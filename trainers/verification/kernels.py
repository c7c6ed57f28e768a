"""Compares the LSTM kernels in every precision with the portable kernel in float64.

The kernels of the other cells are compared with plain loops in float64.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from awd_keras import ops
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.models.train_step import make_train_step
from awd_keras.optimizers import NTASGD

LIMITS = {
    ("portable", "float32"): 2e-5,
    ("portable", "bfloat16"): 5e-2,
    ("cudnn", "float64"): 1e-9,
    ("cudnn", "float32"): 1e-4,
    ("cudnn", "bfloat16"): 5e-2,
}
CELL_LIMITS = {
    ("qrnn", "loop", "float32"): 2e-5,
    ("qrnn", "scan", "float32"): 2e-5,
    ("gru", "portable", "float32"): 2e-5,
    ("gru", "cudnn", "float32"): 1e-4,
}
CELL_SHAPES = {
    "qrnn": [(4, 7, 12), (4, 24), (24, 72), (72,), (4, 12)],  # a window of 2
    "gru": [(4, 7, 12), (4, 24), (12, 72), (24, 72), (2, 72)],
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


def compare_cells(cell, implementation, dtype):
    """Returns (name, actual, expected) of the outputs, final states and gradients of a cell."""
    generator = np.random.default_rng(13)
    exact = [tf.constant(generator.normal(size=s, scale=0.4)) for s in CELL_SHAPES[cell]]
    arguments = [tf.cast(argument, dtype) for argument in exact]
    run, plain = {"qrnn": (_qrnn, _plain_qrnn), "gru": (ops.gru, _plain_gru)}[cell]
    run = functools.partial(run, implementation=implementation)
    pairs = zip(
        tf.function(_with_gradients)(run, arguments), _with_gradients(plain, exact), strict=True
    )
    return [(f"tensor {i}", *pair) for i, pair in enumerate(pairs)]


def _with_gradients(run, arguments):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        results = run(*arguments)
        sums = [tf.reduce_sum(tf.sin(tf.cast(result, tf.float64))) for result in results]
    return [*results, *tape.gradient(sums, arguments)]


def _qrnn(x, c, kernel, bias, last_x, implementation):
    return ops.qrnn(x, c, kernel, bias, initial_x=last_x, implementation=implementation)


def _plain_qrnn(inputs, c, kernel, bias, last_x):
    outputs = []
    for x in tf.unstack(inputs, axis=1):
        z, f, o = tf.split(tf.concat([x, last_x], axis=1) @ kernel + bias, 3, axis=1)
        c, last_x = tf.sigmoid(f) * tf.tanh(z) + (1.0 - tf.sigmoid(f)) * c, x
        outputs.append(tf.sigmoid(o) * c)
    return tf.stack(outputs, axis=1), c, last_x


def _plain_gru(inputs, h, kernel, recurrent_kernel, bias):
    outputs = []
    for x in tf.unstack(inputs, axis=1):
        x_z, x_r, x_h = tf.split(x @ kernel + bias[0], 3, axis=1)
        y_z, y_r, y_h = tf.split(h @ recurrent_kernel + bias[1], 3, axis=1)
        z, g = tf.sigmoid(x_z + y_z), tf.tanh(x_h + tf.sigmoid(x_r + y_r) * y_h)
        h = z * h + (1.0 - z) * g
        outputs.append(h)
    return tf.stack(outputs, axis=1), h


def compare_xla_step():
    """Returns (name, actual, expected) of all variables after two training steps under XLA."""

    def variables_after(kernel):
        model = AWDLSTMLanguageModel(20, embedding_dim=8, hidden_dim=12, num_layers=2, seed=1)
        optimizer = NTASGD(keras.optimizers.SGD(1.0, weight_decay=0.01))
        optimizer.build(model.trainable_variables)
        optimizer.trigger()
        settings = {"ar_alpha": 2.0, "tar_beta": 1.0, "global_clipnorm": 0.25, "seed": 3}
        step = make_train_step(model, optimizer, kernel=kernel, padded_lengths=(8,), **settings)
        states, text = model.initial_state(4), np.random.default_rng(5).integers(20, size=(4, 14))
        for number, (start, end) in enumerate(((0, 7), (7, 13))):
            ids = (tf.constant(text[:, start + i : end + i], tf.int32) for i in (0, 1))
            *_, states = step(*ids, states, tf.constant(1.0), tf.constant(number))
        return [(v.path, v.numpy()) for v in (*model.weights, *optimizer.variables)]

    pairs = zip(variables_after("xla"), variables_after("portable"), strict=True)
    return [(name, actual, expected) for (name, actual), (_, expected) in pairs]
