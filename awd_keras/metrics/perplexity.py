"""Perplexity with exact token counts."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="awd_keras")
class Perplexity(keras.metrics.Metric):
    """exp(total nats / number of predicted tokens), over all updates.

    Total and count are summed and divided once: batches of different size weigh by their tokens,
    which the mean of the batches' perplexities would get wrong.

    Args:
        from_logits: whether `y_pred` holds logits or probabilities.
        name: name of the metric.
        dtype: dtype of the sums; float32 counts exactly up to 16.7 million tokens, float64 beyond.

    Raises:
        ValueError: if shapes of targets and predictions do not fit (raised by Keras).

    Example:

    >>> metric = Perplexity()
    >>> metric.update_state([[1, 2]], tf.zeros((1, 2, 10)))
    >>> f"{float(metric.result()):.3f}"
    '10.000'
    """

    def __init__(self, from_logits=True, name="perplexity", dtype="float32"):
        super().__init__(name=name, dtype=dtype)
        self.from_logits = from_logits
        self.total_loss = self.add_variable((), "zeros", name="total_loss")
        self.num_tokens = self.add_variable((), "zeros", name="num_tokens")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch.

        Args:
            y_true: integer tensor (...): the words that came.
            y_pred: tensor (..., vocabulary_size): their logits or probabilities.
            sample_weight: None or tensor (...), or any shape that broadcasts to it from the left:
                0 for padding.
        """
        y_true, y_pred = tf.convert_to_tensor(y_true), tf.cast(y_pred, self.dtype)
        losses = keras.losses.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits
        )
        weights = tf.ones_like(losses)
        if sample_weight is not None:
            sample_weight = tf.cast(sample_weight, self.dtype)
            missing = len(losses.shape) - len(sample_weight.shape)
            ones = tf.ones(missing, tf.int32)
            shape = tf.concat([tf.shape(sample_weight), ones], axis=0)
            weights *= tf.reshape(sample_weight, shape)
        self.total_loss.assign_add(tf.reduce_sum(losses * weights))
        self.num_tokens.assign_add(tf.reduce_sum(weights))

    def result(self):
        total, count = tf.convert_to_tensor(self.total_loss), tf.convert_to_tensor(self.num_tokens)
        return tf.exp(tf.math.divide_no_nan(total, count))

    def get_config(self):
        return {"from_logits": self.from_logits, "name": self.name, "dtype": self.dtype}
