"""Tests of what layers with a random mask have in common."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from awd_keras.layers.stochastic_layer import validated_rate
from tests.test_case import assert_close, assert_equal, seed_tensor, to_numpy


@pytest.mark.parametrize("rate", [0, 0.25, np.float32(0.5), 1 - 1e-9])
def test_rates(rate):
    result = validated_rate("rate", rate)
    assert type(result) is float and result == rate


@pytest.mark.parametrize("rate", [-1e-9, 1, float("nan"), float("inf"), True, "0.5", None])
def test_refuses_rates(rate):
    with pytest.raises(
        ValueError, match=r"`hidden_dropout` must be a number in the range \[0, 1\)"
    ):
        validated_rate("hidden_dropout", rate)


SEQUENCES = np.random.default_rng(0).normal(size=(3, 5, 16)).astype("float32")
EMBEDDING = keras.layers.Embedding(64, 4)
RECURRENT = {"seed": 5, "return_sequences": True}
LAYERS = {
    "locked": (lambda: layers.LockedDropout(0.5, seed=5), SEQUENCES),
    "embedding": (lambda: layers.EmbeddingDropout(EMBEDDING, 0.5, seed=5), np.arange(64)[None]),
    "lstm": (lambda: layers.WeightDropLSTM(4, 0.5, **RECURRENT), SEQUENCES),
    "gru": (lambda: layers.WeightDropGRU(4, 0.5, **RECURRENT), SEQUENCES),
    "qrnn": (lambda: layers.WeightDropQRNN(4, 1, 0.5, **RECURRENT), SEQUENCES),
}


@pytest.fixture(params=LAYERS)
def pair(request):
    """Two equal layers and inputs for them."""
    make, inputs = LAYERS[request.param]
    layer, same = make(), make()
    for built in (layer, same):
        built(inputs)
    same.set_weights(layer.get_weights())
    return layer, same, inputs


def test_the_seed_determines_the_mask(pair):
    layer, same, inputs = pair
    call = tf.function(lambda seed: layer(inputs, training=True, seed=seed))
    first = call(seed_tensor())
    assert_close(same(inputs, training=True, seed=seed_tensor()), first, 1e-6)
    for other in (seed_tensor(1, 3), seed_tensor(2, 2)):
        assert np.any(to_numpy(call(other)) != to_numpy(first))


def test_each_call_without_seed_draws_a_mask(pair):
    layer, same, inputs = pair
    call = tf.function(lambda: layer(inputs, training=True))
    first, second = to_numpy(call()), to_numpy(call())
    assert np.any(first != second)
    assert_close(same(inputs, training=True), first, 1e-6)
    assert_close(same(inputs, training=True), second, 1e-6)


def test_the_state_of_the_generator_is_saved_with_the_weights(pair, tmp_path):
    layer, other, inputs = pair
    path = tmp_path / "layer.weights.h5"
    layer(inputs, training=True)
    keras.saving.save_weights(layer, path)
    keras.saving.load_weights(other, path)
    assert_equal(other(inputs, training=True), layer(inputs, training=True))


def test_weights_saved_without_the_state_load(tmp_path):
    path = tmp_path / "layer.weights.h5"
    keras.saving.save_weights(keras.layers.SpatialDropout1D(0.5), path)
    keras.saving.load_weights(layers.LockedDropout(0.5), path)
