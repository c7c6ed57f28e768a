"""Tests of the LSTM for XLA: its numbers, gradients and padding, compiled and not."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.ops.lstm_portable_test import BATCH, TIME, gradients_of, make_arguments
from tests.test_case import assert_all_close, assert_all_equal, assert_equal, plain_lstm

MASK = tf.sequence_mask([TIME, 2, 0], TIME)


def xla(*arguments, **options):
    return ops.lstm(*arguments, implementation="xla", **options)


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "padded"])
@pytest.mark.parametrize("dtype,tolerance", [("float64", 1e-10), ("float32", 1e-5)])
def test_equals_automatic_differentiation(jit_compile, mask, dtype, tolerance):
    run = tf.function(functools.partial(xla, mask=mask), jit_compile=jit_compile)
    plain = functools.partial(plain_lstm, mask=mask)
    arguments = make_arguments(dtype)
    assert_all_close(run(*arguments), plain(*arguments), tolerance)
    expected = gradients_of(plain, arguments)
    assert_all_close(gradients_of(run, arguments), expected, tolerance)


@pytest.mark.parametrize("implementation", ["xla", "portable"])
def test_states_are_those_at_the_given_lengths(implementation):
    arguments, lengths = make_arguments(), np.array([4] * BATCH)
    _, h, c = ops.lstm(*arguments, lengths=lengths, implementation=implementation)
    inputs, *others = arguments
    _, *expected = ops.lstm(inputs[:, :4], *others)
    assert_all_close((h, c), expected, 1e-12)


def test_padding_changes_no_bit():
    inputs, *others = make_arguments("float32")
    padding = tf.fill((BATCH, TIME - 4, inputs.shape[2]), np.float32(100.0))
    padded = tf.concat([inputs[:, :4], padding], axis=1)
    run = tf.function(functools.partial(xla, lengths=tf.fill([BATCH], 4)), jit_compile=True)
    outputs, *states = run(inputs, *others)
    padded_outputs, *padded_states = run(padded, *others)
    assert_equal(padded_outputs[:, :4], outputs[:, :4])
    assert_all_equal(padded_states, states)
