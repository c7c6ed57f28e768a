"""Tests of the GRU's call of cuDNN, with a stand-in for the operation.

`tests/layers/weight_drop_gru_test.py` compares the portable kernel with Keras's.
"""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_all_close

BATCH, TIME, FEATURES, UNITS = 3, 4, 2, 5
MASK = np.array([[1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)


def cudnn_rnn_v3(
    input, input_h, input_c, params, sequence_lengths, rnn_mode, is_training, time_major
):
    """Computes `tf.raw_ops.CudnnRNNV3` for one GRU, row by row."""
    assert rnn_mode == "gru" and input_c.shape == ()
    sizes = 3 * [FEATURES * UNITS] + 3 * [UNITS * UNITS] + 6 * [UNITS]
    *matrices, b_r, b_z, b_h, c_r, c_z, c_h = tf.split(params, sizes)
    w_r, w_z, w_h, u_r, u_z, u_h = (
        tf.transpose(tf.reshape(matrix, (UNITS, -1))) for matrix in matrices
    )
    axis = 0 if time_major else 1
    inputs = tf.transpose(input, (1, 0, 2)) if time_major else input
    rows, finals = [], []
    for row in range(BATCH):
        h, outputs = tf.squeeze(input_h, axis)[row : row + 1], []
        for step in range(int(sequence_lengths[row])):
            x = inputs[row, step : step + 1]
            r = tf.sigmoid(x @ w_r + b_r + h @ u_r + c_r)
            z = tf.sigmoid(x @ w_z + b_z + h @ u_z + c_z)
            h = (1.0 - z) * tf.tanh(x @ w_h + b_h + r * (h @ u_h + c_h)) + z * h
            outputs.append(h)
        padding = tf.zeros((TIME - len(outputs), UNITS), input.dtype)
        rows.append(tf.concat([*outputs, padding], axis=0))
        finals.append(h)
    outputs, final = tf.stack(rows), tf.concat(finals, axis=0)
    if not is_training:  # without reserve space there is no gradient
        outputs, final = tf.stop_gradient(outputs), tf.stop_gradient(final)
    outputs = tf.transpose(outputs, (1, 0, 2)) if time_major else outputs
    return outputs, tf.expand_dims(final, axis), tf.zeros(()), tf.zeros(0), tf.zeros(0, tf.int8)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_cudnn(monkeypatch, mask, training):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", cudnn_rnn_v3)
    generator = np.random.default_rng(0)
    shapes = [(BATCH, TIME, FEATURES), (BATCH, UNITS), (FEATURES, 3 * UNITS)]
    shapes += [(UNITS, 3 * UNITS), (2, 3 * UNITS)]
    arguments = [tf.constant(generator.normal(size=shape)) for shape in shapes]
    results = []
    for implementation in ("cudnn", "portable"):
        options = {"mask": mask, "implementation": implementation, "training": training}
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            outputs, h = ops.gru(*arguments, **options)
            loss = tf.reduce_sum(tf.sin(outputs)) + tf.reduce_sum(h**2)
        results.append([outputs, h, *tape.gradient(loss, arguments)])
    assert_all_close(*results, 1e-10)
