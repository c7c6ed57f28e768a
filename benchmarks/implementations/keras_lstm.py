"""`keras.layers.LSTM` in the same model and the same loop.

It has no weight dropout and trains without it, so it has less work to do.
"""

from unittest import mock

import keras
import tensorflow as tf

from benchmarks.implementations import awd_keras


class _StockLSTM(keras.layers.LSTM):
    """Takes the place of `WeightDropLSTM` in the model."""

    def __init__(self, units, weight_dropout, **kwargs):
        super().__init__(units, **kwargs)

    def get_initial_state(self, batch_size):
        return [tf.zeros((batch_size, self.units)) for _ in "hc"]

    def call(
        self,
        inputs,
        initial_state=None,
        training=False,
        time_major=False,
        seed=None,
        lengths=None,
        implementation=None,
    ):
        states = [tf.cast(state, self.compute_dtype) for state in initial_state]
        if time_major:  # Keras's layer takes batch-major sequences only
            inputs = tf.transpose(inputs, (1, 0, 2))
        outputs, h, c = super().call(inputs, initial_state=states, training=training)
        if time_major:
            outputs = tf.transpose(outputs, (1, 0, 2))
        return outputs, tf.cast(h, tf.float32), tf.cast(c, tf.float32)


class Implementation(awd_keras.Implementation):
    """The same model with stock layers."""

    def build_model(self, config):
        with mock.patch("awd_keras.models.awd_lstm.WeightDropLSTM", _StockLSTM):
            return super().build_model(config)
