"""Tests of the dropout whose mask is the same at all time steps."""

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
    seed_tensor,
    to_numpy,
)

BATCH, TIME, FEATURES = 4, 5, 8


def ones(batch=BATCH, time=TIME, features=FEATURES):
    return np.ones((batch, time, features), "float32")


def mask_of(layer, inputs=None, **options):
    return to_numpy(layer(ones() if inputs is None else inputs, training=True, **options))


class TestLockedDropout:
    @pytest.mark.parametrize("rate", [0.0, 0.4])
    def test_layer(self, rate):
        inputs = np.random.default_rng(0).normal(size=(BATCH, TIME, FEATURES)).astype("float32")
        check_layer(lambda: layers.LockedDropout(rate, seed=1), inputs)

    def test_config(self):
        config = check_config(layers.LockedDropout(0.3, seed=7, name="locked")).get_config()
        assert (config["rate"], config["seed"], config["name"]) == (0.3, 7, "locked")

    def test_mask_is_constant_along_time(self):
        mask = mask_of(layers.LockedDropout(0.5), seed=seed_tensor())
        assert_equal(mask, np.broadcast_to(mask[:, :1], mask.shape))
        assert set(np.unique(mask)) == {0.0, 2.0}

    def test_mask_differs_across_rows(self):
        mask = mask_of(layers.LockedDropout(0.5), ones(features=32), seed=seed_tensor())
        rows = {row.tobytes() for row in mask[:, 0]}
        assert len(rows) == BATCH

    def test_mask_differs_across_windows(self):
        layer = layers.LockedDropout(0.5)
        assert np.any(mask_of(layer) != mask_of(layer))
        assert np.any(mask_of(layer, seed=seed_tensor(1, 1)) != mask_of(layer, seed=seed_tensor()))

    def test_traced_masks_differ_across_windows(self):
        layer = layers.LockedDropout(0.5)
        call = tf.function(lambda: layer(ones(), training=True))
        assert np.any(to_numpy(call()) != to_numpy(call()))

    def test_same_seed_same_mask(self):
        layer = layers.LockedDropout(0.5)
        expected = mask_of(layer, seed=seed_tensor())
        assert_equal(mask_of(layer, seed=seed_tensor()), expected)
        traced = tf.function(lambda seed: layer(ones(), training=True, seed=seed))
        assert_equal(traced(seed_tensor()), expected)

    def test_constructor_seed_repeats_the_sequence_of_masks(self):
        one, other = layers.LockedDropout(0.5, seed=3), layers.LockedDropout(0.5, seed=3)
        for _ in range(2):
            assert_equal(mask_of(one), mask_of(other))

    @pytest.mark.parametrize("rate", [0.2, 0.7])
    def test_drops_at_the_rate_and_scales_survivors(self, rate):
        mask = mask_of(layers.LockedDropout(rate), ones(40, 2, 50), seed=seed_tensor())
        assert abs(np.mean(mask == 0.0) - rate) < 0.05
        np.testing.assert_allclose(mask[mask != 0.0], 1.0 / (1.0 - rate), rtol=1e-6)

    def test_identity_at_inference_and_at_rate_zero(self):
        inputs = np.random.default_rng(0).normal(size=(BATCH, TIME, FEATURES)).astype("float32")
        assert_equal(layers.LockedDropout(0.5)(inputs), inputs)
        assert_equal(layers.LockedDropout(0.5)(inputs, training=False), inputs)
        assert_equal(layers.LockedDropout(0.0)(inputs, training=True), inputs)

    def test_gradient_is_the_mask(self):
        layer, inputs = layers.LockedDropout(0.5), tf.constant(ones())
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs, training=True, seed=seed_tensor()))
        assert_equal(tape.gradient(loss, inputs), mask_of(layer, seed=seed_tensor()))

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_half_precision_drops_the_same_entries(self, policy):
        expected = mask_of(layers.LockedDropout(0.5), seed=seed_tensor())
        with dtype_policy(policy):
            layer = layers.LockedDropout(0.5)
        assert_equal(mask_of(layer, seed=seed_tensor()), expected)

    def test_passes_masks_on(self):
        ids = np.array([[1, 2, 0], [1, 0, 0]])
        embedded = keras.layers.Embedding(3, 4, mask_zero=True)(ids)
        outputs = layers.LockedDropout(0.5)(embedded, training=True)
        assert_equal(outputs._keras_mask, ids != 0)

    def test_time_major_has_the_masks_of_its_rows(self):
        layer, inputs = layers.LockedDropout(0.5), ones()
        expected = layer(inputs, training=True, seed=seed_tensor())
        turned = tf.transpose(inputs, (1, 0, 2))
        actual = layer(turned, training=True, seed=seed_tensor(), time_major=True)
        assert_equal(tf.transpose(actual, (1, 0, 2)), expected)

    def test_windows_of_any_length_trace_once(self):
        layer, traces = layers.LockedDropout(0.5), []

        @tf.function(input_signature=[tf.TensorSpec((None, None, FEATURES))])
        def call(inputs):
            traces.append(1)
            return layer(inputs, training=True, seed=seed_tensor())

        whole = to_numpy(call(ones(time=7)))
        assert_equal(call(ones(time=2)), whole[:, :2])
        assert len(traces) == 1

    def test_fit_save_and_load(self):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((None, 3)), layers.LockedDropout(0.2), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.SGD(0.1), "mse")
        inputs = np.random.default_rng(0).normal(size=(32, 4, 3)).astype("float32")
        targets = inputs.sum(axis=-1, keepdims=True)
        history = model.fit(inputs, targets, epochs=8, verbose=0).history
        assert history["loss"][-1] < 0.5 * history["loss"][0]
        revived = save_and_load(model)
        assert_equal(revived(inputs), model(inputs))

    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), True, "half", None])
    def test_refuses_rates(self, rate):
        with pytest.raises(ValueError, match="rate"):
            layers.LockedDropout(rate)
