"""Tests of locked dropout."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from tests.test_case import assert_equal, check_layer, seed_tensor, to_numpy

BATCH, TIME, FEATURES = 4, 5, 32


def ones(time=TIME):
    return np.ones((BATCH, time, FEATURES), "float32")


def mask_of(layer, seed=None):
    return to_numpy(layer(ones(), training=True, seed=seed))


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_layer(rate):
    check_layer(lambda: layers.LockedDropout(rate, seed=1), ones())


def test_mask():
    mask = mask_of(layers.LockedDropout(0.5), seed_tensor())
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert_equal(mask, np.broadcast_to(mask[:, :1], mask.shape))
    assert len({row.tobytes() for row in mask[:, 0]}) == BATCH


def test_identity_at_inference_and_at_rate_zero():
    inputs = np.random.default_rng(0).normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    assert_equal(layers.LockedDropout(0.5)(inputs), inputs)
    assert_equal(layers.LockedDropout(0.0)(inputs, training=True), inputs)


def test_time_major():
    layer = layers.LockedDropout(0.5)
    inputs = tf.transpose(ones(), (1, 0, 2))
    outputs = layer(inputs, training=True, seed=seed_tensor(), time_major=True)
    assert_equal(tf.transpose(outputs, (1, 0, 2)), mask_of(layer, seed_tensor()))


def test_passes_on_the_mask_of_its_inputs():
    ids = np.array([[1, 2, 0], [1, 0, 0]])
    embedded = keras.layers.Embedding(3, 4, mask_zero=True)(ids)
    assert_equal(layers.LockedDropout(0.5)(embedded, training=True)._keras_mask, ids != 0)
