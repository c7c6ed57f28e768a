"""Tests of the weight-dropped GRU."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from awd_keras.ops import dropout_mask
from tests.layers.weight_drop_lstm_test import (
    BATCH,
    FEATURES,
    MASK,
    RATE,
    UNITS,
    make_inputs,
    results_and_gradients,
)
from tests.test_case import assert_all_close, assert_close, check_config, check_layer, seed_tensor

STATE = np.random.default_rng(1).normal(size=(BATCH, UNITS))
KERAS_LOOP = [{"reset_after": False}, {"activation": "relu"}, {"use_bias": False}]


def make_layer(cls=layers.WeightDropGRU, dtype="float64", **options):
    options = {"return_state": True, **options}
    layer = cls(UNITS, return_sequences=True, dtype=dtype, **options)
    layer.build((None, None, FEATURES))
    generator = np.random.default_rng(2)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def test_layer():
    check_layer(
        lambda: layers.WeightDropGRU(UNITS, RATE, return_state=True),
        make_inputs(),
        output_dtypes=[None, "float32"],
    )
    config = keras.layers.GRU(UNITS, go_backwards=True, reset_after=False).get_config()
    layer = check_config(layers.WeightDropGRU.from_config(config))
    own = {"weight_dropout": 0.0, "use_cudnn": "auto", "implementation": 2}
    assert layer.get_config() == {**config, **own}
    assert check_config(layers.WeightDropGRU(UNITS, use_cudnn=False)).use_cudnn is False


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize("options", [{}, {"go_backwards": True}, *KERAS_LOOP], ids=str)
def test_equals_keras(options, mask):
    actual, expected = (
        results_and_gradients(make_layer(cls, **options), mask=mask, initial_state=STATE)
        for cls in (layers.WeightDropGRU, keras.layers.GRU)
    )
    assert_all_close(actual, expected, 1e-10)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_float32(jit_compile):
    actual, expected = (
        results_and_gradients(make_layer(cls, "float32"), jit_compile=jit_compile)
        for cls in (layers.WeightDropGRU, keras.layers.GRU)
    )
    assert_all_close(actual, expected, 1e-5)


@pytest.mark.parametrize("options", [{}, *KERAS_LOOP], ids=str)
def test_weight_dropout_equals_keras_with_a_masked_matrix(options):
    expected = make_layer(keras.layers.GRU, **options)
    mask = dropout_mask((UNITS, 3 * UNITS), RATE, seed_tensor(), "float64")
    expected.cell.recurrent_kernel.assign(expected.cell.recurrent_kernel * mask)
    layer = make_layer(weight_dropout=RATE, **options)
    actual = results_and_gradients(layer, seed=seed_tensor(), training=True)
    expected = results_and_gradients(expected, training=True)
    expected[4] *= mask
    assert_all_close(actual, expected, 1e-10)


def test_time_major_and_unknown_sizes():
    layer = make_layer()
    spec = tf.TensorSpec((None, None, FEATURES), tf.float64)
    call = tf.function(lambda x: layer(x, time_major=True), input_signature=[spec])
    for steps in (1, 4):
        inputs = make_inputs("float64")[:, :steps]
        outputs, state = call(inputs.transpose(1, 0, 2))
        assert_close(tf.transpose(outputs, (1, 0, 2)), layer(inputs)[0], 1e-12)
        assert_close(state, outputs[-1], 1e-12)


def test_mixed_precision_follows_float32():
    rounded, exact = (
        results_and_gradients(make_layer(dtype=dtype, return_state=False), make_inputs())
        for dtype in ("mixed_bfloat16", "float32")
    )
    assert_all_close(rounded, exact, 0.1)
