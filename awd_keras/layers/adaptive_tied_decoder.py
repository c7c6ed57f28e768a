"""An adaptive softmax whose matrix is an embedding, for large vocabularies."""

import keras
import tensorflow as tf

from awd_keras.layers.tied_decoder import TiedDecoder
from awd_keras.ops.adaptive_softmax import adaptive_cross_entropy, adaptive_log_probabilities


@keras.saving.register_keras_serializable(package="awd_keras")
class AdaptiveTiedDecoder(TiedDecoder):
    """A `TiedDecoder` whose words are split into clusters, so that training is faster.

    The words must be ordered by frequency: most tokens of a text should be among the first words.
    Calling the layer computes the log-probabilities of all words, which are also logits; `loss`
    computes only those of the clusters that the targets are in. See
    `awd_keras.ops.adaptive_cross_entropy`.

    Args:
        embedding: A `keras.layers.Embedding`, whose matrix both layers share.
        cutoffs: The first word of each cluster except the first, such as `(2800, 20000, 76000)`
            for the 267,735 words of WikiText-103.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch_size, timesteps, features)`, or of any other shape that
            ends in `features`, the `output_dim` of the embedding.

    Returns:
        Log-probabilities of shape `(batch_size, timesteps, input_dim)`, float32 even under mixed
        precision.

    Raises:
        ValueError: If the cutoffs are not increasing integers from 1 to `input_dim - 1`, or as for
            `TiedDecoder`.

    Example:

    >>> decoder = AdaptiveTiedDecoder(keras.layers.Embedding(100, 8), cutoffs=(10, 40))
    >>> log_probabilities = decoder(tf.zeros((2, 3, 8)))
    >>> f"{float(tf.reduce_sum(tf.exp(log_probabilities[0, 0]))):.4f}"
    '1.0000'
    """

    def __init__(self, embedding, cutoffs, **kwargs):
        super().__init__(embedding, **kwargs)
        self.cutoffs = tuple(cutoffs)
        limits = (0, *self.cutoffs, embedding.input_dim)
        is_increasing = all(start < end for start, end in zip(limits, limits[1:], strict=False))
        if not self.cutoffs or not is_increasing:
            raise ValueError(
                "`cutoffs` must be increasing integers from 1 to the number of words minus 1, "
                f"{embedding.input_dim - 1}. Received: cutoffs={self.cutoffs}"
            )

    def build(self, input_shape):
        super().build(input_shape)
        num_tails, features = len(self.cutoffs), self.embedding.output_dim
        # Zeros, as in the code of AWD-LSTM's authors.
        self.tail_matrix = self.add_weight(
            name="tail_matrix", shape=(num_tails, features), initializer="zeros"
        )
        self.tail_bias = self.add_weight(
            name="tail_bias", shape=(num_tails,), initializer="zeros", autocast=False
        )

    def call(self, inputs):
        return adaptive_log_probabilities(inputs, *self._parameters(), self.cutoffs)

    def loss(self, inputs, targets, weights=None, training=True):
        if not self.built:
            self.build(inputs.shape)
        return adaptive_cross_entropy(
            inputs, *self._parameters(), self.cutoffs, targets, weights, training=training
        )

    def _parameters(self):
        weights = (self.matrix, self.bias, self.tail_matrix, self.tail_bias)
        return [tf.convert_to_tensor(weight) for weight in weights]

    def get_config(self):
        config = {**super().get_config(), "cutoffs": self.cutoffs}
        config.pop("use_bias")
        return config
