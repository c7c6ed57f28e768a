"""A softmax layer whose matrix is an embedding (weight tying, section 4.4 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.shared_embedding import serialize_shared, validated_embedding


@keras.saving.register_keras_serializable(package="awd_keras")
class TiedDecoder(keras.layers.Layer):
    """Logits over the vocabulary through the matrix of an embedding, with its own bias.

    Args:
        embedding: a `keras.layers.Embedding`; the matrix stays one variable, shared by both. (With
            an embedding of its own, the decoder is an untied one.)
        use_bias: whether to add a bias, which starts at zero.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: tensor (..., output_dim of the embedding).

    Returns:
        logits (..., input_dim of the embedding), always at least float32.

    Raises:
        ValueError: if `embedding` is not an Embedding, or the features do not fit its columns.

    Example:

    >>> embedding = keras.layers.Embedding(100, 8)
    >>> decoder = TiedDecoder(embedding)
    >>> decoder(tf.zeros((2, 3, 8))).shape
    TensorShape([2, 3, 100])
    """

    def __init__(self, embedding, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.embedding = validated_embedding(embedding)
        self.use_bias = use_bias
        self.bias = None
        self.supports_masking = True

    def build(self, input_shape):
        if input_shape[-1] != self.embedding.output_dim:
            raise ValueError(
                f"TiedDecoder expects {self.embedding.output_dim} features, the output_dim of its "
                f"embedding. Received: input_shape={tuple(input_shape)}. Give the last layer as "
                "many units as the embedding has columns, or the decoder an embedding of its own."
            )
        if not self.embedding.built:
            self.embedding.build((None,))
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.embedding.input_dim,), initializer="zeros"
            )
        self.built = True

    @property
    def matrix(self):
        """The softmax matrix (vocabulary_size, features), in the dtype of the variable."""
        return self.embedding.embeddings

    def call(self, inputs):
        matrix = tf.cast(tf.convert_to_tensor(self.matrix), inputs.dtype)
        flat = tf.reshape(inputs, (-1, self.embedding.output_dim))
        logits = tf.matmul(flat, matrix, transpose_b=True)
        logits = tf.cast(logits, self.logits_dtype)
        if self.use_bias:
            logits += tf.cast(tf.convert_to_tensor(self.bias), logits.dtype)
        shape = tf.concat([tf.shape(inputs)[:-1], [self.embedding.input_dim]], axis=0)
        logits = tf.reshape(logits, shape)
        logits.set_shape(self.compute_output_shape(inputs.shape))
        return logits

    @property
    def logits_dtype(self):
        return "float64" if self.compute_dtype == "float64" else "float32"

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.embedding.input_dim)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.logits_dtype)

    def get_config(self):
        embedding = serialize_shared(self.embedding)
        return {**super().get_config(), "embedding": embedding, "use_bias": self.use_bias}

    @classmethod
    def from_config(cls, config):
        embedding = keras.saving.deserialize_keras_object(config["embedding"])
        return cls(**{**config, "embedding": embedding})
