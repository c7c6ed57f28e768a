"""Tests of the plain LSTM against the equations in NumPy, row by row."""

import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close
from trainers.verification import plain_lstm

BATCH, TIME, FEATURES, UNITS = 3, 5, 4, 2


def numpy_row(inputs, hidden, cell, kernel, recurrent_kernel, bias):
    """One row: inputs (timesteps, features), states (units,)."""
    outputs = []
    for x in inputs:
        i, f, g, o = np.split(x @ kernel + hidden @ recurrent_kernel + bias, 4)
        i, f, o = (1.0 / (1.0 + np.exp(-gate)) for gate in (i, f, o))
        cell = f * cell + i * np.tanh(g)
        hidden = o * np.tanh(cell)
        outputs.append(hidden)
    return outputs, hidden, cell


@pytest.mark.parametrize("lengths", [None, (5, 2, 0)])
def test_equals_numpy(lengths):
    generator = np.random.default_rng(1)
    shapes = [(BATCH, TIME, FEATURES), (BATCH, UNITS), (BATCH, UNITS)]
    shapes += [(FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
    inputs, h, c, *weights = (generator.normal(size=shape) for shape in shapes)
    tensors = [tf.constant(array) for array in (inputs, h, c, *weights)]
    results = plain_lstm(*tensors, lengths=None if lengths is None else tf.constant(lengths))
    for row, length in enumerate(lengths or BATCH * [TIME]):
        outputs, *finals = numpy_row(inputs[row, :length], h[row], c[row], *weights)
        # Beyond its length a row stands still.
        outputs = [*outputs, *(TIME - length) * [finals[0]]]
        for actual, expected in zip(results, (outputs, *finals), strict=True):
            assert_close(actual[row], expected, 1e-14)
