"""A softmax layer whose matrix is an embedding (weight tying, section 4.4 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.shared_embedding import SharedEmbeddingLayer, validated_embedding
from awd_keras.ops.cross_entropy import sequence_cross_entropy


@keras.saving.register_keras_serializable(package="awd_keras")
class TiedDecoder(SharedEmbeddingLayer, keras.layers.Layer):
    """Computes logits over the vocabulary with the matrix of an embedding, and a bias of its own.

    The layers stay tied in `.keras` files. They are no longer tied in copies made by
    `keras.models.clone_model`, `Model.from_config` or `keras.models.model_from_json`, nor in models
    loaded from legacy `.h5` files. If you need those, use one `keras.layers.ReversibleEmbedding`,
    which has no bias, instead of the two layers.

    Setting `trainable` to `False` also freezes the shared embedding. To freeze only the bias, set
    `decoder.bias.trainable` to `False`.

    Args:
        embedding: A `keras.layers.Embedding`, whose matrix both layers share. For an untied
            decoder, pass an embedding that is used nowhere else.
        use_bias: Whether to add a bias, initialized to zeros. Defaults to `True`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch_size, timesteps, features)`, or of any other shape that
            ends in `features`, the `output_dim` of the embedding.

    Returns:
        Logits of shape `(batch_size, timesteps, input_dim)`, float32 even under mixed precision.

    Raises:
        ValueError: If `embedding` is not an `Embedding`, or `features` is not its `output_dim`.

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
                f"The inputs of TiedDecoder must have {self.embedding.output_dim} features, the "
                "output_dim of its embedding. Change the units of the layer before it, or pass "
                f"another embedding. Received: input_shape={tuple(input_shape)}"
            )
        if not self.embedding.built:
            self.embedding.build((None,))
        if self.use_bias:
            # As in `loss`, the bias is not rounded to half precision.
            self.bias = self.add_weight(
                name="bias",
                shape=(self.embedding.input_dim,),
                initializer="zeros",
                autocast=False,
            )
        self.built = True

    @property
    def matrix(self):
        """The softmax matrix, of shape `(vocabulary_size, features)`."""
        if self.embedding.quantization_mode is None:
            return self.embedding.embeddings
        # Looking up all words dequantizes them.
        return self.embedding(tf.range(self.embedding.input_dim))

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

    def loss(self, inputs, targets, weights=None, training=True):
        """Returns the total cross-entropy and the number of tokens; see `sequence_cross_entropy`.

        The logits are never all in memory at once.
        """
        if not self.built:
            self.build(inputs.shape)
        return sequence_cross_entropy(
            inputs, self.matrix, self.bias, targets, weights, training=training
        )

    @property
    def logits_dtype(self):
        return "float64" if self.compute_dtype == "float64" else "float32"

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.embedding.input_dim)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.logits_dtype)

    def get_config(self):
        return {**super().get_config(), "use_bias": self.use_bias}
