"""AR and TAR as a layer, for models trained by `fit` (section 4.6 of the paper)."""

import keras

from awd_keras.losses.activation_regularization import (
    activation_regularization,
    temporal_activation_regularization,
)


@keras.saving.register_keras_serializable(package="awd_keras")
class ActivationRegularization(keras.layers.Layer):
    """Adds AR and TAR of the outputs of an LSTM to the loss, and returns the dropped outputs.

    Masked time steps are ignored.

    Args:
        ar_alpha: Weight of AR, which penalizes large outputs after dropout (`alpha` in the
            authors' code). Defaults to 2, as in the paper.
        tar_beta: Weight of TAR, which penalizes changes of the outputs before dropout from one
            time step to the next (`beta` in the authors' code). Defaults to 1, as in the paper.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[raw, dropped]`, the outputs of the last LSTM before and after dropout, tensors
            of shape `(batch_size, timesteps, features)`.
        training: Whether to add the losses. `fit` passes `True`; `evaluate` and `predict` pass
            `False`, so a validation loss contains no penalty. If omitted, the losses are added, as
            in `keras.layers.ActivityRegularization`.

    Returns:
        `dropped`, unchanged.

    Raises:
        ValueError: If a weight is negative, or the inputs are not two tensors.

    Example:

    >>> import tensorflow as tf
    >>> layer = ActivationRegularization(ar_alpha=2.0, tar_beta=1.0)
    >>> raw = tf.ones((1, 3, 2))
    >>> dropped = layer([raw, raw])
    >>> [float(loss) for loss in layer.losses]
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

    def call(self, inputs, mask=None, training=True):
        raw, dropped = inputs
        if training:
            mask = self.compute_mask(inputs, mask)
            self.add_loss(activation_regularization(dropped, self.ar_alpha, mask=mask))
            self.add_loss(temporal_activation_regularization(raw, self.tar_beta, mask=mask))
        return dropped

    def compute_mask(self, inputs, mask=None):
        return mask[1] if isinstance(mask, (tuple, list)) else mask

    def compute_output_shape(self, input_shape):
        return input_shape[1]

    def get_config(self):
        return {**super().get_config(), "ar_alpha": self.ar_alpha, "tar_beta": self.tar_beta}
