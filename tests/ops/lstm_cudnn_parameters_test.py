"""Tests of the packing of cuDNN's parameters."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.ops import lstm_cudnn
from tests.ops.lstm_cases import BATCH, FEATURES, TIME, UNITS, make_arguments
from tests.test_case import assert_equal


class TestPackParameters:
    """The packed vector is held bit for bit to the one that Keras gives to its cuDNN operation."""

    def keras_parameters(self, monkeypatch, kernel, recurrent_kernel, bias):
        """What `keras.layers.LSTM` passes as `params`, traced as if there were a GPU."""
        captured = []

        def spy(**arguments):
            captured.append(arguments["params"])
            inputs, initial_h, initial_c = (
                arguments[name] for name in ("input", "input_h", "input_c")
            )
            outputs = tf.zeros(tf.concat([tf.shape(inputs)[:2], [UNITS]], axis=0))
            return outputs, initial_h, initial_c, tf.zeros((0,)), tf.zeros((0,), "int8")

        layer = keras.layers.LSTM(UNITS, return_sequences=True)
        layer.build((BATCH, TIME, FEATURES))
        layer.set_weights([kernel, recurrent_kernel, bias])
        with monkeypatch.context() as patch:
            patch.setattr(
                tf.config,
                "list_logical_devices",
                lambda device_type=None: [tf.config.LogicalDevice("/device:GPU:0", "GPU")],
            )
            patch.setattr(tf.raw_ops, "CudnnRNNV3", spy)
            layer(tf.zeros((BATCH, TIME, FEATURES)))
        assert len(captured) == 1
        return captured[0].numpy()

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("traced", [False, True])
    def test_equals_keras_bit_for_bit(self, monkeypatch, masked, traced):
        kernel, recurrent_kernel, bias = make_arguments("float32")[3:]
        if masked:
            keep = np.random.default_rng(3).random(recurrent_kernel.shape) >= 0.5
            recurrent_kernel *= tf.constant(keep, "float32") / 0.5
        expected = self.keras_parameters(monkeypatch, kernel, recurrent_kernel, bias)
        pack = lstm_cudnn.pack_parameters
        actual = (tf.function(pack) if traced else pack)(kernel, recurrent_kernel, bias)
        assert expected.shape == (4 * UNITS * (FEATURES + UNITS + 2),)
        assert_equal(actual, expected)

    def test_gradient_reaches_each_weight_once(self):
        weights = make_arguments("float32")[3:]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = tf.reduce_sum(lstm_cudnn.pack_parameters(*weights))
        for gradient in tape.gradient(loss, weights):
            assert_equal(gradient, np.ones(gradient.shape))
