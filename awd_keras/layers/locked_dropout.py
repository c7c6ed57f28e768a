"""Locked (variational) dropout: one mask for a whole sequence (section 4.2 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from awd_keras.ops.random import dropout_mask
from awd_keras.ops.replicas import num_replicas, replica_rows


@keras.saving.register_keras_serializable(package="awd_keras")
class LockedDropout(StochasticLayer):
    """Dropout with one mask for each row and feature, the same at all time steps.

    Another call, hence another window of the text, draws another mask. Survivors are scaled by
    `1 / (1 - rate)`; without training the layer is the identity.

    Args:
        rate: float in [0, 1), the probability of dropping (the authors' `dropouti`, `dropouth`
            and `dropout`; Gal and Ghahramani 2016).
        seed: None or int, for `fit`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: tensor (batch_size, timesteps, features).
        training: whether to drop.
        seed: None or an int32 tensor (2,): the mask is a pure function of it.
        time_major: whether the inputs have time first; the mask of a row stays the same.

    Raises:
        ValueError: if the rate is outside [0, 1), or the input is not of rank 3.

    Example:

    >>> layer = LockedDropout(0.5)
    >>> layer(tf.ones((2, 3, 4)), training=False).shape
    TensorShape([2, 3, 4])
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.rate = validated_rate("rate", rate)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape):
        self.built = True

    def call(self, inputs, training=False, seed=None, time_major=False):
        if not training or self.rate == 0:
            return inputs
        batch_axis, time_axis = (1, 0) if time_major else (0, 1)
        sizes = tf.unstack(tf.shape(inputs))
        num_rows = sizes[batch_axis]
        shape = (num_rows * num_replicas(), inputs.shape[2] or sizes[2])
        mask = dropout_mask(shape, self.rate, self.mask_seed(seed), inputs.dtype)
        mask = replica_rows(mask, num_rows)
        return inputs * tf.expand_dims(mask, time_axis)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}
