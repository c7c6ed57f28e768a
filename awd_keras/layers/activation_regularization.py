"""AR and TAR as a layer, for models trained by `fit` (section 4.6 of the paper)."""

import keras

from awd_keras.losses.activation_regularization import (
    activation_regularization,
    temporal_activation_regularization,
)


@keras.saving.register_keras_serializable(package="awd_keras")
class ActivationRegularization(keras.layers.Layer):
    """Adds AR and TAR of an LSTM's outputs to the loss and returns the dropped outputs.

    In training only: the loss of a validation is the one that a perplexity is made of.

    Args:
        ar_alpha: weight of AR, taken on the dropped outputs. 2 in the paper (`alpha`).
        tar_beta: weight of TAR, taken on the raw outputs. 1 in the paper (`beta`).
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: list of two tensors (batch_size, timesteps, features): the raw outputs of the last
            LSTM, and the same after dropout.
        training: whether to add to the loss; True unless Keras says otherwise.

    Returns:
        the second of the two.

    Raises:
        ValueError: if a weight is negative, or the inputs are not two tensors.

    Example:

    >>> import tensorflow as tf
    >>> layer = ActivationRegularization(ar_alpha=2.0, tar_beta=1.0)
    >>> raw = tf.ones((1, 3, 2))
    >>> dropped = layer([raw, raw])
    >>> [float(loss) for loss in layer.losses]  # AR: 2 * mean of 1; TAR: no change along time
    [2.0, 0.0]
    """

    def __init__(self, ar_alpha=2.0, tar_beta=1.0, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("ar_alpha", ar_alpha), ("tar_beta", tar_beta)):
            if not value >= 0:
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value!r}")
        self.ar_alpha = ar_alpha
        self.tar_beta = tar_beta
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 2 or not isinstance(input_shape[0], (tuple, list)):
            raise ValueError(
                "ActivationRegularization expects a list of two tensors, [raw, dropped]. "
                f"Received: input_shape={input_shape}"
            )
        self.built = True

    def call(self, inputs, training=True):
        raw, dropped = inputs
        if training:
            self.add_loss(activation_regularization(dropped, self.ar_alpha))
            self.add_loss(temporal_activation_regularization(raw, self.tar_beta))
        return dropped

    def compute_mask(self, inputs, mask=None):
        return mask[1] if isinstance(mask, (tuple, list)) else mask

    def compute_output_shape(self, input_shape):
        return input_shape[1]

    def get_config(self):
        return {**super().get_config(), "ar_alpha": self.ar_alpha, "tar_beta": self.tar_beta}
