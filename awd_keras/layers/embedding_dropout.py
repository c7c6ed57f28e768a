"""Embedding dropout: whole words vanish (section 4.3 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.shared_embedding import serialize_shared, validated_embedding
from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from awd_keras.ops.random import dropout_mask


@keras.saving.register_keras_serializable(package="awd_keras")
class EmbeddingDropout(StochasticLayer):
    """Looks words up in an embedding of which whole rows are dropped.

    One mask over the rows of the matrix for each call: all occurrences of a word vanish together,
    in all rows of the batch; survivors are scaled by `1 / (1 - rate)`. Only the lookup is masked:
    a softmax tied to the same matrix can still predict a dropped word.

    Args:
        embedding: a `keras.layers.Embedding`, which keeps the one variable.
        rate: float in [0, 1), the probability of dropping a word (the authors' `dropoute`).
        seed: None or int, for `fit`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        token_ids: integer tensor (batch_size, timesteps).
        training: whether to drop.
        seed: None or an int32 tensor (2,): the mask is a pure function of it.

    Raises:
        ValueError: if the rate is outside [0, 1) or `embedding` is not an Embedding.

    Example:

    >>> layer = EmbeddingDropout(keras.layers.Embedding(100, 8), rate=0.1)
    >>> layer(tf.constant([[1, 2, 1]]), training=True).shape
    TensorShape([1, 3, 8])
    """

    def __init__(self, embedding, rate, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.embedding = validated_embedding(embedding)
        self.rate = validated_rate("rate", rate)

    def build(self, input_shape):
        if not self.embedding.built:
            self.embedding.build(input_shape)
        self.built = True

    def call(self, token_ids, training=False, seed=None):
        embedded = self.embedding(token_ids)
        if not training or self.rate == 0:
            return embedded
        rows = (self.embedding.input_dim, 1)
        mask = dropout_mask(rows, self.rate, self.mask_seed(seed), embedded.dtype)
        return embedded * tf.gather(mask, tf.cast(token_ids, tf.int32))

    def compute_mask(self, inputs, mask=None):
        return self.embedding.compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.embedding.output_dim)

    def compute_output_spec(self, token_ids, training=False, seed=None):
        shape = self.compute_output_shape(token_ids.shape)
        return keras.KerasTensor(shape, dtype=self.embedding.compute_dtype)

    def get_config(self):
        embedding = serialize_shared(self.embedding)
        return {**super().get_config(), "embedding": embedding, "rate": self.rate}

    @classmethod
    def from_config(cls, config):
        embedding = keras.saving.deserialize_keras_object(config["embedding"])
        return cls(**{**config, "embedding": embedding})
