"""Tests of the layer that adds AR and TAR to the loss of a model."""

import keras
import numpy as np
import pytest

from awd_keras import layers
from tests.test_case import assert_close, check_layer, dtype_policy

BATCH, TIME, FEATURES = 3, 5, 4


def make_pair():
    return list(np.random.default_rng(0).normal(size=(2, BATCH, TIME, FEATURES)).astype("float32"))


def test_layer():
    check_layer(lambda: layers.ActivationRegularization(2.0, 1.0), make_pair())


@pytest.mark.parametrize("ar_alpha,tar_beta", [(2.0, 1.0), (3.0, 0.0), (0.0, 5.0)])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_adds_both_losses(ar_alpha, tar_beta, policy):
    raw, dropped = make_pair()
    with dtype_policy(policy):
        layer = layers.ActivationRegularization(ar_alpha, tar_beta)
        assert_close(layer([raw, dropped], training=True), dropped, 0.01)
    losses = [ar_alpha * np.mean(dropped**2), tar_beta * np.mean(np.diff(raw, axis=1) ** 2)]
    assert_close(np.array(layer.losses), losses, 1e-5 if policy == "float32" else 0.02)
    assert all(loss.dtype == "float32" for loss in layer.losses)


@pytest.mark.parametrize("options,adds", [({}, True), ({"training": False}, False)])
def test_adds_losses_unless_told_otherwise(options, adds):
    """As `keras.layers.ActivityRegularization` does."""
    layer = layers.ActivationRegularization()
    layer(make_pair(), **options)
    assert len(layer.losses) == (2 if adds else 0)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_does_not_count(side):
    losses = []
    for length in (3, 8):
        padding = [(0, 0), (0, length - 3) if side == "right" else (length - 3, 0)]
        ids = np.pad(np.array([[1, 2, 3]]), padding)
        embedding = keras.layers.Embedding(4, FEATURES, mask_zero=True)
        embedding.build()
        embedding.embeddings.assign(np.arange(4.0 * FEATURES).reshape(4, FEATURES))
        raw = embedding(ids)
        layer = layers.ActivationRegularization()
        layer([raw, raw], training=True)
        losses.append(np.array(layer.losses))
    assert_close(losses[1], losses[0], 1e-6)


@pytest.mark.parametrize("argument", ["ar_alpha", "tar_beta"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_refuses_weights(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must not be negative"):
        layers.ActivationRegularization(**{argument: value})


def test_refuses_a_single_tensor():
    with pytest.raises(ValueError, match=r"\[raw, dropped\]"):
        layers.ActivationRegularization()(make_pair()[0])
