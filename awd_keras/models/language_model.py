"""The language model: word ids in, logits of the next word out."""

import keras

from awd_keras.layers.tied_decoder import TiedDecoder
from awd_keras.models.awd_lstm import AWDLSTM


@keras.saving.register_keras_serializable(package="awd_keras")
class AWDLSTMLanguageModel(keras.Model):
    """AWD-LSTM with a softmax over the vocabulary, tied to the embedding or not.

    Args:
        vocabulary_size, embedding_dim, hidden_dim, num_layers, tie_weights, input_dropout,
        hidden_dropout, output_dropout, embedding_dropout, weight_dropout, seed: of `AWDLSTM`, with
            its defaults: the paper's model of Penn Treebank has 24,210,800 parameters.
        **kwargs: of `keras.Model`: `name`, `dtype`.

    Call arguments:
        token_ids: integer tensor (batch_size, timesteps).
        states: None for zeros, or `[[h, c]] * num_layers`, as `initial_state` returns them.
        training: whether to drop.
        seed: None or an int32 tensor (2,): all masks are a pure function of it.

    Returns:
        `(logits, states)`: (batch_size, timesteps, vocabulary_size) in float32, and the final
        states `[[h, c]] * num_layers` in float32.

    Example:

    >>> import tensorflow as tf
    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> logits, states = model(tf.zeros((2, 5), tf.int32))
    >>> logits.shape
    TensorShape([2, 5, 100])
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=400,
        hidden_dim=1150,
        num_layers=3,
        tie_weights=True,
        input_dropout=0.4,
        hidden_dropout=0.3,
        output_dropout=0.4,
        embedding_dropout=0.1,
        weight_dropout=0.5,
        seed=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.backbone = AWDLSTM(
            vocabulary_size,
            embedding_dim=embedding_dim,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            tie_weights=tie_weights,
            input_dropout=input_dropout,
            hidden_dropout=hidden_dropout,
            output_dropout=output_dropout,
            embedding_dropout=embedding_dropout,
            weight_dropout=weight_dropout,
            seed=seed,
            dtype=self.dtype_policy,
            name="backbone",
        )
        if tie_weights:
            softmax_embedding = self.backbone.embedding
        else:
            softmax_embedding = keras.layers.Embedding(
                vocabulary_size,
                self.backbone.output_dim,
                embeddings_initializer=keras.initializers.RandomUniform(
                    -0.1, 0.1, seed=None if seed is None else seed * 1000 + 900
                ),
                dtype=self.dtype_policy,
                name="softmax",
            )
        self.decoder = TiedDecoder(softmax_embedding, dtype=self.dtype_policy, name="decoder")
        self.decoder.build((None, None, self.backbone.output_dim))
        self.built = True

    def initial_state(self, batch_size):
        """Zeros `[[h, c]] * num_layers`, each (batch_size, units), float32."""
        return self.backbone.initial_state(batch_size)

    def call(self, token_ids, states=None, training=False, seed=None):
        _, dropped, states = self.backbone(token_ids, states, training=training, seed=seed)
        return self.decoder(dropped), states

    def get_config(self):
        config = self.backbone.get_config()
        return {**config, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
