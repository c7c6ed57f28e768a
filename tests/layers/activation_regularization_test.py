"""Tests of the layer that adds AR and TAR to a model's loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from tests.test_case import (
    assert_equal,
    check_config,
    check_layer,
    dtype_policy,
    save_and_load,
)

BATCH, TIME, FEATURES = 3, 5, 4


def make_pair(time=TIME):
    generator = np.random.default_rng(0)
    shape = (BATCH, time, FEATURES)
    raw, dropped = generator.normal(size=(2, *shape)).astype("float32")
    return [raw, dropped]


def expected_loss(raw, dropped, ar_alpha, tar_beta):
    activation = ar_alpha * np.mean(dropped.astype("float64") ** 2)
    return activation + tar_beta * np.mean(np.diff(raw.astype("float64"), axis=1) ** 2)


class TestActivationRegularization:
    def test_layer(self):
        check_layer(lambda: layers.ActivationRegularization(2.0, 1.0), make_pair())

    def test_config(self):
        config = check_config(layers.ActivationRegularization(0.5, 0.25)).get_config()
        assert (config["ar_alpha"], config["tar_beta"]) == (0.5, 0.25)
        defaults = layers.ActivationRegularization().get_config()
        assert (defaults["ar_alpha"], defaults["tar_beta"]) == (2.0, 1.0)

    def test_returns_dropped_outputs(self):
        raw, dropped = make_pair()
        assert_equal(layers.ActivationRegularization()([raw, dropped], training=True), dropped)

    @pytest.mark.parametrize("ar_alpha,tar_beta", [(2.0, 1.0), (3.0, 0.0), (0.0, 5.0)])
    def test_adds_both_losses(self, ar_alpha, tar_beta):
        raw, dropped = make_pair()
        layer = layers.ActivationRegularization(ar_alpha, tar_beta)
        layer([raw, dropped], training=True)
        expected = expected_loss(raw, dropped, ar_alpha, tar_beta)
        assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-5)

    def test_one_time_step(self):
        raw, dropped = make_pair(time=1)
        layer = layers.ActivationRegularization(2.0, 1.0)
        layer([raw, dropped], training=True)
        assert float(sum(layer.losses)) == pytest.approx(2.0 * np.mean(dropped**2), rel=1e-5)

    def test_losses_are_float32_in_half_precision(self):
        with dtype_policy("mixed_bfloat16"):
            layer = layers.ActivationRegularization()
            layer(make_pair(), training=True)
        assert all(loss.dtype == "float32" for loss in layer.losses)
        assert float(sum(layer.losses)) == pytest.approx(
            expected_loss(*make_pair(), 2.0, 1.0), rel=0.02
        )

    def test_gradients_reach_both_inputs(self):
        raw, dropped = (tf.constant(x) for x in make_pair())
        layer = layers.ActivationRegularization(2.0, 1.0)
        with tf.GradientTape() as tape:
            tape.watch([raw, dropped])
            layer([raw, dropped], training=True)
            loss = sum(layer.losses)
        gradients = tape.gradient(loss, [raw, dropped])
        np.testing.assert_allclose(gradients[1], 4.0 * dropped / dropped.numpy().size, rtol=1e-5)
        assert np.all(np.isfinite(gradients[0])) and np.any(gradients[0].numpy() != 0.0)

    @pytest.mark.parametrize("argument", ["ar_alpha", "tar_beta"])
    @pytest.mark.parametrize("value", [-1.0, float("nan")])
    def test_refuses_factors(self, argument, value):
        with pytest.raises(ValueError, match=argument):
            layers.ActivationRegularization(**{argument: value})

    def test_fit_trains_on_the_added_loss(self):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((TIME, FEATURES))
        raw = layers.WeightDropLSTM(4, weight_dropout=0.3, return_sequences=True)(inputs)
        dropped = layers.LockedDropout(0.3)(raw)
        regularized = layers.ActivationRegularization(2.0, 1.0)([raw, dropped])
        model = keras.Model(inputs, keras.layers.Dense(1)(regularized))
        model.compile(keras.optimizers.Adam(0.05), loss=lambda y_true, y_pred: 0.0 * y_pred)
        batch = np.random.default_rng(0).normal(size=(16, TIME, FEATURES)).astype("float32")
        targets = np.zeros((16, TIME, 1), "float32")
        # The data's own loss is zero: all that can fall is what the layer adds.
        history = model.fit(batch, targets, epochs=15, verbose=0).history
        assert history["loss"][0] > 1e-3
        assert history["loss"][-1] < 0.5 * history["loss"][0]
        revived = save_and_load(keras.Model(model.input, model.output))
        assert_equal(revived(batch), model(batch))
