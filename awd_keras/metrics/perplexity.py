"""Perplexity with exact token counts."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="awd_keras")
class Perplexity(keras.metrics.Mean):
    """Exponential of the total loss in nats divided by the number of predicted tokens.

    The interface matches `keras_hub.metrics.Perplexity`. Batches are weighted by their number of
    tokens. Steps that a Keras mask excludes, such as padding with `mask_zero=True`, are ignored.

    Args:
        from_logits: Whether `y_pred` contains logits instead of probabilities. Defaults to False.
        mask_token_id: Id of a target to ignore, such as padding, or `None` (the default).
        dtype: Dtype of the sums. Defaults to `"float32"`, which counts up to 16.7 million tokens
            exactly; use `"float64"` for more.
        name: Name of the metric. Defaults to `"perplexity"`.

    Example:

    >>> metric = Perplexity(from_logits=True)
    >>> metric.update_state([[1, 2]], tf.zeros((1, 2, 10)))
    >>> f"{float(metric.result()):.3f}"
    '10.000'
    """

    def __init__(self, from_logits=False, mask_token_id=None, dtype="float32", name="perplexity"):
        super().__init__(name=name, dtype=dtype)
        self.from_logits = from_logits
        self.mask_token_id = mask_token_id

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch.

        Args:
            y_true: Integer tensor of shape `(batch_size, timesteps)`, the targets.
            y_pred: Tensor of shape `(batch_size, timesteps, vocabulary_size)`, the predicted
                probabilities or logits.
            sample_weight: `None`, or a tensor of shape `(batch_size, timesteps)`, `(batch_size,
                timesteps, 1)` or `(batch_size,)`, the weights of the tokens.
        """
        keras_mask = getattr(y_pred, "_keras_mask", None)
        y_pred = tf.cast(y_pred, self.dtype)
        y_true = tf.reshape(y_true, tf.shape(y_pred)[:-1])
        weights = tf.ones_like(y_true, self.dtype)
        if keras_mask is not None:
            weights *= tf.cast(keras_mask, self.dtype)
        if self.mask_token_id is not None:
            counts = tf.not_equal(y_true, tf.cast(self.mask_token_id, y_true.dtype))
            weights *= tf.cast(counts, self.dtype)
            y_true = tf.where(counts, y_true, 0)  # the masked id may not be a valid class
        if sample_weight is not None:
            sample_weight = tf.cast(sample_weight, self.dtype)
            weights *= tf.reshape(sample_weight, (tf.shape(sample_weight)[0], -1))
        losses = keras.losses.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits
        )
        # Flattened, since Keras's mean weights all rows equally.
        super().update_state(tf.reshape(losses, (-1,)), tf.reshape(weights, (-1,)))

    def result(self):
        return tf.exp(super().result())

    def get_config(self):
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "mask_token_id": self.mask_token_id,
        }
