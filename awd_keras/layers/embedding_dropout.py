"""Embedding dropout: dropout of whole words (section 4.3 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.shared_embedding import SharedEmbeddingLayer, validated_embedding
from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from awd_keras.ops.random import dropout_mask


@keras.saving.register_keras_serializable(package="awd_keras")
class EmbeddingDropout(StochasticLayer, SharedEmbeddingLayer, keras.layers.Layer):
    """Looks up words in an embedding after dropping whole rows of its matrix.

    Each training call draws one mask over the rows of the matrix: a dropped word is zero wherever
    it occurs in the batch, and the other words are scaled by `1 / (1 - rate)`. The mask applies to
    the lookup only, so a `TiedDecoder` of the same embedding can still predict a dropped word.

    The layer has no weights of its own. Setting its `trainable` to `False` freezes the embedding.

    Args:
        embedding: A `keras.layers.Embedding`.
        rate: Float in the range `[0, 1)`, the probability of dropping a word (`dropoute` in the
            authors' code; 0.1 in the paper).
        seed: Integer or `None` (the default), the seed of the masks of calls without `seed`, as in
            `fit`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        token_ids: Integer tensor of shape `(batch_size, timesteps)`, or of any other shape.
        training: Whether to apply dropout.
        seed: `None`, or an int32 tensor of shape `(2,)` that determines the mask.

    Returns:
        Tensor of shape `(batch_size, timesteps, output_dim)`.

    Raises:
        ValueError: If the rate is not in the range `[0, 1)`, or `embedding` is not an `Embedding`.

    Example:

    >>> layer = EmbeddingDropout(keras.layers.Embedding(100, 8), rate=0.1)
    >>> layer(tf.constant([[1, 2, 1]]), training=True).shape
    TensorShape([1, 3, 8])
    """

    def __init__(self, embedding, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.embedding = validated_embedding(embedding)
        self.rate = validated_rate("rate", rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        # Half precision cannot represent ids that are passed as floats.
        self.autocast = False

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
        return keras.ops.not_equal(inputs, 0) if self.embedding.mask_zero else None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.embedding.output_dim)

    def compute_output_spec(self, token_ids, training=False, seed=None):
        shape = self.compute_output_shape(token_ids.shape)
        return keras.KerasTensor(shape, dtype=self.embedding.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
