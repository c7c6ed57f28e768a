"""Locked (variational) dropout: one mask for a whole sequence (section 4.2 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from awd_keras.ops.random import dropout_mask
from awd_keras.ops.replicas import num_replicas, replica_rows


@keras.saving.register_keras_serializable(package="awd_keras")
class LockedDropout(StochasticLayer, keras.layers.SpatialDropout1D):
    """Dropout with one mask per sequence and feature, shared by all time steps.

    This is `keras.layers.SpatialDropout1D` with a `seed` in its call. Each training call draws a
    mask; entries that are kept are scaled by `1 / (1 - rate)`. At inference, the layer returns its
    inputs.

    Args:
        rate: Float in the range `[0, 1)`, the probability of dropping a feature of a sequence
            (`dropouti`, `dropouth` and `dropout` in the authors' code; Gal and Ghahramani, 2016).
        seed: Integer or `None` (the default), the seed of the masks of calls without `seed`, as in
            `fit`.
        **kwargs: Passed to `keras.layers.SpatialDropout1D`: `name` and `dtype`.

    Call arguments:
        inputs: Tensor of shape `(batch_size, timesteps, features)`.
        training: Whether to apply dropout.
        seed: `None`, or an int32 tensor of shape `(2,)` that determines the mask.
        time_major: Whether the inputs have shape `(timesteps, batch_size, features)`, which does
            not change the masks. Defaults to `False`.

    Raises:
        ValueError: If the rate is not in the range `[0, 1)`.

    Example:

    >>> layer = LockedDropout(0.5)
    >>> layer(tf.ones((2, 3, 4)), training=True).shape
    TensorShape([2, 3, 4])
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(validated_rate("rate", rate), seed=seed, **kwargs)

    def call(self, inputs, training=False, seed=None, time_major=False):
        if not training or self.rate == 0:
            return inputs
        batch_axis, time_axis = (1, 0) if time_major else (0, 1)
        sizes = tf.unstack(tf.shape(inputs))
        shape = (sizes[batch_axis] * num_replicas(), inputs.shape[2] or sizes[2])
        mask = dropout_mask(shape, self.rate, self.mask_seed(seed), inputs.dtype)
        return inputs * tf.expand_dims(replica_rows(mask), time_axis)

    def get_config(self):
        # Keras's own configuration of this layer has the dtype of its variables instead.
        dtype = keras.dtype_policies.serialize(self.dtype_policy)
        return {**super().get_config(), "dtype": dtype}
