"""Tests of what layers with a random mask have in common."""

import keras
import numpy as np
import pytest

from awd_keras import layers
from awd_keras.layers.stochastic_layer import validated_rate
from tests.test_case import assert_equal


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


def test_the_state_of_the_generator_is_saved_with_the_weights(tmp_path):
    path = tmp_path / "layer.weights.h5"
    embedding = keras.layers.Embedding(9, 4)
    for make, inputs in (
        (lambda: layers.LockedDropout(0.5), np.ones((1, 2, 64), "float32")),
        (lambda: layers.EmbeddingDropout(embedding, 0.5), np.arange(9)[np.newaxis]),
        (lambda: layers.WeightDropLSTM(4, 0.5), np.ones((1, 2, 3), "float32")),
    ):
        layer, other = make(), make()
        for built in (layer, other):
            built(inputs)
        layer(inputs, training=True)
        keras.saving.save_weights(layer, path)
        keras.saving.load_weights(other, path)
        assert_equal(other(inputs, training=True), layer(inputs, training=True))


def test_weights_saved_without_the_state_load(tmp_path):
    path = tmp_path / "layer.weights.h5"
    keras.saving.save_weights(keras.layers.SpatialDropout1D(0.5), path)
    keras.saving.load_weights(layers.LockedDropout(0.5), path)
