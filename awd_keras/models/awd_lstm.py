"""The backbone: word ids in, states of the last layer out."""

import keras
import tensorflow as tf

from awd_keras.layers.embedding_dropout import EmbeddingDropout
from awd_keras.layers.locked_dropout import LockedDropout
from awd_keras.layers.weight_drop_lstm import WeightDropLSTM
from awd_keras.ops.layout import transposed_ids
from awd_keras.ops.random import fold_in

# Indices folded into the seed of a step; layers must never share one.
_EMBEDDING, _INPUT, _OUTPUT, _HIDDEN, _WEIGHT = 0, 1, 2, 100, 200


@keras.saving.register_keras_serializable(package="awd_keras")
class AWDLSTM(keras.Model):
    """A stack of weight-dropped LSTMs over an embedding, with all dropouts of the paper.

    Initialization is the authors': embedding uniform in +-0.1, LSTM weights and biases uniform in
    +-1/sqrt(units), no forget bias.

    Args:
        vocabulary_size: number of words.
        embedding_dim: columns of the embedding (the authors' `emsize`).
        hidden_dim: units of all LSTMs but the last (`nhid`).
        num_layers: number of LSTMs (`nlayers`).
        tie_weights: whether the last LSTM has `embedding_dim` units, so that a `TiedDecoder` fits;
            otherwise it has `hidden_dim`.
        input_dropout: locked dropout of the embedded words (`dropouti`).
        hidden_dropout: locked dropout between LSTMs (`dropouth`).
        output_dropout: locked dropout of the last LSTM's outputs (`dropout`).
        embedding_dropout: dropout of whole words (`dropoute`).
        weight_dropout: dropout of entries of the recurrent matrices (`wdrop`).
        seed: None or int: initial weights, and masks in `fit`.
        **kwargs: of `keras.Model`: `name`, `dtype`.

    Call arguments:
        token_ids: integer tensor (batch_size, timesteps).
        states: None for zeros, or `[[h, c]] * num_layers`, each (batch_size, units).
        training: whether to drop.
        seed: None or an int32 tensor (2,), into which the index of each layer is folded.
        time_major: whether ids and outputs have time first, which spares transpositions.

    Returns:
        `(raw_outputs, dropped_outputs, states)`: outputs of the last LSTM before and after its
        dropout, (batch_size, timesteps, units), and the final states in float32.

    Raises:
        ValueError: for a size below 1 or a rate outside [0, 1).

    Example:

    >>> backbone = AWDLSTM(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> raw, dropped, states = backbone(tf.zeros((2, 5), tf.int32))
    >>> raw.shape, len(states)
    (TensorShape([2, 5, 8]), 2)
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
        sizes = {
            "vocabulary_size": vocabulary_size,
            "embedding_dim": embedding_dim,
            "hidden_dim": hidden_dim,
            "num_layers": num_layers,
        }
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={size!r}")
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.tie_weights = tie_weights
        self.input_dropout = input_dropout
        self.hidden_dropout = hidden_dropout
        self.output_dropout = output_dropout
        self.embedding_dropout = embedding_dropout
        self.weight_dropout = weight_dropout
        self.seed = seed

        policy = self.dtype_policy
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            embedding_dim,
            embeddings_initializer=self._uniform(0.1, 0),
            dtype=policy,
            name="embedding",
        )
        self.dropped_embedding = EmbeddingDropout(
            self.embedding,
            embedding_dropout,
            seed=self._seed(_EMBEDDING),
            dtype=policy,
            name="embedding_dropout",
        )
        self.input_locked_dropout = self._locked("input_dropout", input_dropout, _INPUT)
        units = [hidden_dim] * (num_layers - 1) + [embedding_dim if tie_weights else hidden_dim]
        self.lstm_layers = [
            WeightDropLSTM(
                layer_units,
                weight_dropout=weight_dropout,
                kernel_initializer=self._uniform(layer_units**-0.5, 10 * index + 1),
                recurrent_initializer=self._uniform(layer_units**-0.5, 10 * index + 2),
                bias_initializer=self._uniform(layer_units**-0.5, 10 * index + 3),
                unit_forget_bias=False,
                return_sequences=True,
                return_state=True,
                seed=self._seed(_WEIGHT + index),
                dtype=policy,
                name=f"lstm_{index}",
            )
            for index, layer_units in enumerate(units)
        ]
        self.hidden_locked_dropouts = [
            self._locked(f"hidden_dropout_{index}", hidden_dropout, _HIDDEN + index)
            for index in range(num_layers - 1)
        ]
        self.output_locked_dropout = self._locked("output_dropout", output_dropout, _OUTPUT)

        # Sizes say everything: the weights exist from here on.
        self.dropped_embedding.build((None, None))
        for layer, features in zip(self.lstm_layers, [embedding_dim, *units], strict=False):
            layer.build((None, None, features))
        self.built = True

    def _seed(self, index):
        return None if self.seed is None else self.seed * 1000 + index

    def _uniform(self, bound, index):
        return keras.initializers.RandomUniform(-bound, bound, seed=self._seed(500 + index))

    def _locked(self, name, rate, index):
        return LockedDropout(rate, seed=self._seed(index), dtype=self.dtype_policy, name=name)

    @property
    def output_dim(self):
        """Units of the last LSTM."""
        return self.lstm_layers[-1].units

    def initial_state(self, batch_size):
        """Zeros `[[h, c]] * num_layers`, each (batch_size, units), float32."""
        return [layer.get_initial_state(batch_size) for layer in self.lstm_layers]

    def call(self, token_ids, states=None, training=False, seed=None, time_major=False):
        def layer_seed(index):
            if seed is None:
                return None
            # Two integers: telling a GPU of the operations takes longer than doing them here.
            with tf.device("CPU:0"):
                return fold_in(seed, index)

        def how(index):
            return {"training": training, "seed": layer_seed(index), "time_major": True}

        if states is None:
            states = self.initial_state(tf.shape(token_ids)[1 if time_major else 0])
        # Ids are turned to time-major, and nothing in between: they are the smallest.
        if not time_major:
            token_ids = transposed_ids(token_ids)
        x = self.dropped_embedding(token_ids, training=training, seed=layer_seed(_EMBEDDING))
        x = self.input_locked_dropout(x, **how(_INPUT))
        final_states = []
        for index, layer in enumerate(self.lstm_layers):
            raw, h, c = layer(x, initial_state=states[index], **how(_WEIGHT + index))
            final_states.append([h, c])
            if index < self.num_layers - 1:
                x = self.hidden_locked_dropouts[index](raw, **how(_HIDDEN + index))
        dropped = self.output_locked_dropout(raw, **how(_OUTPUT))
        if not time_major:
            raw, dropped = (tf.transpose(outputs, (1, 0, 2)) for outputs in (raw, dropped))
        return raw, dropped, final_states

    def get_config(self):
        return {
            **super().get_config(),
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "tie_weights": self.tie_weights,
            "input_dropout": self.input_dropout,
            "hidden_dropout": self.hidden_dropout,
            "output_dropout": self.output_dropout,
            "embedding_dropout": self.embedding_dropout,
            "weight_dropout": self.weight_dropout,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)
