"""Tests of the weight-dropped QRNN."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers, ops
from tests.layers.weight_drop_lstm_test import BATCH, FEATURES, MASK, UNITS, make_inputs
from tests.test_case import assert_close, assert_equal, check_config, check_layer, seed_tensor


def make_layer(window=2, **options):
    layer = layers.WeightDropQRNN(UNITS, window, return_sequences=True, **options)
    layer.build((BATCH, None, FEATURES))
    generator = np.random.default_rng(2)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("options", [{}, {"output_gate": False, "zoneout": 0.2}], ids=str)
@pytest.mark.parametrize("window", [1, 2])
def test_layer(window, options):
    check_layer(
        lambda: layers.WeightDropQRNN(UNITS, window, 0.3, return_state=True, **options),
        make_inputs(),
        output_dtypes=[None, *["float32"] * window],
    )
    layer = make_layer(window, **options)
    gates = 3 if options == {} else 2
    assert layer.kernel.shape == (window * FEATURES, gates * UNITS)
    assert layer.bias.shape == (gates * UNITS,)


def test_config():
    layer = layers.WeightDropQRNN(UNITS, go_backwards=True, stateful=True, seed=3, name="q")
    config = check_config(layer).get_config()
    assert config["go_backwards"] and config["stateful"] and config["name"] == "q"


@pytest.mark.parametrize("window", [1, 2])
def test_masks_the_whole_kernel(window):
    layer, plain = make_layer(window, weight_dropout=0.5), make_layer(window)
    mask = ops.dropout_mask(layer.kernel.shape, 0.5, seed_tensor(), "float32")
    plain.kernel.assign(plain.kernel * mask)
    dropped = layer(make_inputs(), training=True, seed=seed_tensor())
    assert_close(dropped, plain(make_inputs()), 1e-6)
    assert_close(layer(make_inputs()), make_layer(window)(make_inputs()), 1e-6)


def test_zoneout_is_drawn_in_training_only():
    layer = make_layer(zoneout=0.5)
    first, again, other = (
        layer(make_inputs(), training=True, seed=seed_tensor(1, last)) for last in (2, 2, 3)
    )
    assert_equal(first, again)
    assert np.any(np.abs(first - other) > 1e-3)
    assert_equal(layer(make_inputs(), seed=seed_tensor()), layer(make_inputs()))


def test_windows_with_carried_states_equal_one_sequence():
    inputs, layer = make_inputs(), make_layer(return_state=True)
    whole, *finals = layer(inputs)
    first, *states = layer(inputs[:, :2])
    second, *states = layer(inputs[:, 2:], initial_state=states)
    for actual, expected in zip(
        [tf.concat([first, second], axis=1), *states], [whole, *finals], strict=True
    ):
        assert_close(actual, expected, 1e-6)
    assert_equal(finals[1], inputs[:, -1])
    stateful = make_layer(stateful=True)
    halves = [stateful(part) for part in (inputs[:, :2], inputs[:, 2:])]
    assert_close(tf.concat(halves, axis=1), whole, 1e-6)


def test_masks_and_wrappers():
    layer = make_layer(return_state=True)
    masked, *states = layer(make_inputs(), mask=MASK)
    expected, *finals = layer(make_inputs()[:1, [1, 2, 4]])
    assert_close(masked.numpy()[0, [1, 2, 4]], expected[0], 1e-6)
    for state, final in zip(states, finals, strict=True):
        assert_close(state[0], final[0], 1e-6)
    model = keras.Sequential(
        [
            keras.layers.Embedding(4, FEATURES, mask_zero=True),
            keras.layers.Bidirectional(layers.WeightDropQRNN(UNITS, return_sequences=True)),
            layers.WeightDropQRNN(UNITS, window=2),
        ]
    )
    padded = model(np.array([[3, 1, 2, 0, 0]]))
    assert_close(padded, model(np.array([[3, 1, 2]])), 1e-6)


def test_xla():
    layer = make_layer(weight_dropout=0.3)
    call = tf.function(
        lambda x: layer(x, training=True, seed=seed_tensor(), mask=MASK), jit_compile=True
    )
    expected = layer(make_inputs(), training=True, seed=seed_tensor(), mask=MASK)
    assert_close(call(make_inputs()), expected, 1e-5)


@pytest.mark.parametrize("name,value", [("window", 3), ("zoneout", 1.0)])
def test_refuses(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        layers.WeightDropQRNN(UNITS, **{name: value})
