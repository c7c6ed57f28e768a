"""Tests of what the LSTM drops: which weights, by which mask, and when."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from tests.layers.dropped_lstm import BATCH, FEATURES, RATE, TIME, UNITS, dropped_layer, make_inputs
from tests.test_case import assert_close, assert_equal, dtype_policy, floatx, seed_tensor, to_numpy


def recurrent_gradient(layer, inputs, **options):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(layer(inputs, **options)))
    return tape.gradient(loss, layer.recurrent_kernel.value).numpy()


class TestDropping:
    def test_first_step_unchanged_and_later_ones_differ(self):
        layer = dropped_layer()
        inputs = make_inputs()
        exact = to_numpy(layer(inputs, training=False))
        dropped = to_numpy(layer(inputs, training=True, seed=seed_tensor()))
        assert_close(dropped[:, 0], exact[:, 0], 1e-6)
        for step in range(1, TIME):
            assert np.max(np.abs(dropped[:, step] - exact[:, step])) > 1e-3

    def test_one_mask_for_all_rows_and_steps(self):
        layer = dropped_layer()
        inputs = make_inputs()
        options = {"training": True, "seed": seed_tensor()}
        kept = recurrent_gradient(layer, inputs, **options) != 0
        assert 0 < np.sum(kept) < kept.size
        # The layer's own mask, applied to a plain LSTM's weights once and for all.
        plain = keras.layers.LSTM(UNITS, return_sequences=True)
        plain.build(inputs.shape)
        plain.set_weights(
            [
                layer.kernel.numpy(),
                layer.recurrent_kernel.numpy() * kept / (1.0 - RATE),
                layer.bias.numpy(),
            ]
        )
        assert_close(layer(inputs, **options), plain(inputs), 1e-5)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(plain(inputs)))
        gradient = tape.gradient(loss, plain.weights[1].value)
        assert_close(
            recurrent_gradient(layer, inputs, **options),
            to_numpy(gradient) * kept / (1.0 - RATE),
            1e-4,
        )

    def test_same_mask_for_windows_of_any_length_and_batch(self):
        layer = dropped_layer()
        options = {"training": True, "seed": seed_tensor()}
        whole = layer(make_inputs(), **options)
        part = layer(make_inputs()[:2, :3], **options)
        assert_close(part, whole[:2, :3], 1e-5)

    @pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
    def test_gradient_only_through_kept_weights(self, rate):
        layer = dropped_layer(rate, units=16)
        gradient = recurrent_gradient(layer, make_inputs(), training=True, seed=seed_tensor())
        assert gradient.shape == (16, 64)
        assert abs(np.mean(gradient == 0.0) - rate) < 0.06

    def test_only_the_recurrent_kernel_is_dropped(self):
        layer = dropped_layer()
        inputs = make_inputs()
        with tf.GradientTape() as tape:
            outputs = layer(inputs, training=True, seed=seed_tensor())
            loss = tf.reduce_sum(tf.sin(outputs))
        gradients = tape.gradient(loss, [layer.kernel.value, layer.bias.value])
        for gradient in gradients:
            assert np.all(to_numpy(gradient) != 0.0)

    def test_no_mask_at_inference(self):
        layer = dropped_layer()
        inputs = make_inputs()
        plain = keras.layers.LSTM(UNITS, return_sequences=True)
        plain.build(inputs.shape)
        plain.set_weights(layer.get_weights())
        for options in ({}, {"training": False}, {"training": False, "seed": seed_tensor()}):
            assert_close(layer(inputs, **options), plain(inputs), 1e-5)

    def test_calling_changes_no_weight(self):
        layer = dropped_layer()
        before = layer.get_weights()
        layer(make_inputs(), training=True)
        for weight, value in zip(layer.get_weights(), before, strict=True):
            assert_equal(weight, value)

    def test_seed_decides(self):
        layer, inputs = dropped_layer(), make_inputs()
        first = layer(inputs, training=True, seed=seed_tensor(1, 2))
        assert_equal(layer(inputs, training=True, seed=seed_tensor(1, 2)), first)
        traced = tf.function(lambda seed: layer(inputs, training=True, seed=seed))
        assert_close(traced(seed_tensor(1, 2)), first, 1e-6)
        for other in (seed_tensor(1, 3), seed_tensor(2, 2)):
            assert np.any(to_numpy(layer(inputs, training=True, seed=other)) != to_numpy(first))
            assert np.any(to_numpy(traced(other)) != to_numpy(first))

    @pytest.mark.parametrize("traced", [False, True])
    def test_without_a_seed_each_call_has_its_own_mask(self, traced):
        layer, inputs = dropped_layer(), make_inputs()

        def call():
            return layer(inputs, training=True)

        call = tf.function(call) if traced else call
        assert np.any(to_numpy(call()) != to_numpy(call()))

    def test_constructor_seed_repeats_the_sequence_of_masks(self):
        inputs = make_inputs()
        one, other = dropped_layer(seed=5), dropped_layer(seed=5)
        for _ in range(2):
            assert_equal(one(inputs, training=True), other(inputs, training=True))
        assert np.any(
            to_numpy(dropped_layer(seed=6)(inputs, training=True))
            != to_numpy(dropped_layer(seed=5)(inputs, training=True))
        )

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_half_precision_drops_the_same_weights(self, policy):
        options = {"training": True, "seed": seed_tensor()}
        exact = dropped_layer()
        with dtype_policy(policy):
            layer = dropped_layer()
        assert_close(layer(make_inputs(), **options), exact(make_inputs(), **options), 0.05)
        gradient = recurrent_gradient(layer, make_inputs(), **options)
        expected = recurrent_gradient(exact, make_inputs(), **options)
        assert gradient.dtype == "float32"
        assert np.all(gradient[expected == 0.0] == 0.0)
        assert_close(gradient, expected, 0.2)

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_half_precision_carries_the_state_in_float32(self, policy):
        with dtype_policy(policy):
            layer = layers.WeightDropLSTM(UNITS, return_state=True)
        layer.build((None, None, FEATURES))
        # The input gate is closed and the forget gate open: the cell only passes through.
        bias = np.repeat([-100.0, 100.0, 0.0, 0.0], UNITS)
        layer.set_weights([np.zeros(layer.kernel.shape), np.zeros((UNITS, 4 * UNITS)), bias])
        cell = tf.fill((BATCH, UNITS), 1.0 + 2.0**-12)
        _, _, final_c = layer(make_inputs(), initial_state=[tf.zeros_like(cell), cell])
        assert_close(final_c, cell, 1e-6)

    def test_float64(self):
        with floatx("float64"):
            layer = dropped_layer(0.1)
            inputs = make_inputs("float64")
            options = {"training": True, "seed": seed_tensor()}
            kept = recurrent_gradient(layer, inputs, **options) != 0
            plain = keras.layers.LSTM(UNITS, return_sequences=True)
            plain.build(inputs.shape)
            kernel, recurrent_kernel, bias = layer.get_weights()
            plain.set_weights([kernel, recurrent_kernel * kept / 0.9, bias])
            assert_close(layer(inputs, **options), plain(inputs), 1e-10)
