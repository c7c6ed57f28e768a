"""The backbone, from word ids to the outputs of the last LSTM."""

import keras
import tensorflow as tf

from awd_keras.layers.embedding_dropout import EmbeddingDropout
from awd_keras.layers.locked_dropout import LockedDropout
from awd_keras.layers.shared_embedding import validated_embedding
from awd_keras.layers.weight_drop_gru import WeightDropGRU
from awd_keras.layers.weight_drop_lstm import WeightDropLSTM
from awd_keras.layers.weight_drop_qrnn import WeightDropQRNN
from awd_keras.ops.lstm import transposed_ids
from awd_keras.ops.random import fold_in

# Folded into the seed of a call, so that each layer has its own masks.
_EMBEDDING, _INPUT, _OUTPUT, _HIDDEN, _WEIGHT = 0, 1, 2, 100, 200
_SIZES = ("vocabulary_size", "embedding_dim", "hidden_dim", "num_layers")
_RATES = ("input_dropout", "hidden_dropout", "output_dropout", "embedding_dropout")
_SETTINGS = (*_SIZES, "tie_weights", *_RATES, "weight_dropout", "seed", "rnn")


def _lstm(units, features, index, uniform, **kwargs):
    return WeightDropLSTM(units, unit_forget_bias=False, **_uniform(units, uniform), **kwargs)


def _gru(units, features, index, uniform, **kwargs):
    return WeightDropGRU(units, **_uniform(units, uniform), **kwargs)


def _qrnn(units, features, index, uniform, **kwargs):
    window = 2 if index == 0 else 1  # as in the authors' code
    initializers = _uniform(window * features, uniform)
    del initializers["recurrent_initializer"]
    return WeightDropQRNN(units, window, **initializers, **kwargs)


def _uniform(fan, uniform):
    names = ("kernel", "recurrent", "bias")
    return {f"{name}_initializer": uniform(fan**-0.5, i + 1) for i, name in enumerate(names)}


# Functions of `(units, features, index of the layer, uniform, **kwargs)` that make a layer, where
# `uniform(bound, i)` is the i-th initializer of the layer.
CELLS = {"lstm": _lstm, "gru": _gru, "qrnn": _qrnn}


@keras.saving.register_keras_serializable(package="awd_keras")
class AWDLSTM(keras.Model):
    """A stack of weight-dropped LSTMs over an embedding, with all of the paper's dropouts.

    The weights are initialized as in the authors' code: the embedding uniformly in `[-0.1, 0.1]`,
    kernels and biases of the LSTMs uniformly in `[-1, 1] / sqrt(units)`, without a forget bias.

    Args:
        vocabulary_size: Number of words.
        embedding_dim: Dimension of the embedding (`--emsize` in the authors' code). Defaults to
            400.
        hidden_dim: Number of units of each LSTM except the last (`--nhid`). Defaults to 1150.
        num_layers: Number of LSTMs (`--nlayers`). Defaults to 3.
        tie_weights: Whether the last LSTM has `embedding_dim` units, as a `TiedDecoder` requires,
            instead of `hidden_dim`. Defaults to True.
        input_dropout: Rate of the locked dropout after the embedding (`--dropouti`). Defaults to
            0.4.
        hidden_dropout: Rate of the locked dropout between LSTMs (`--dropouth`). Defaults to 0.3.
        output_dropout: Rate of the locked dropout after the last LSTM (`--dropout`). Defaults to
            0.4.
        embedding_dropout: Rate of the dropout of whole words (`--dropoute`). Defaults to 0.1.
        weight_dropout: Rate of the dropout of recurrent weights (`--wdrop`). Defaults to 0.5.
        seed: Integer or `None` (the default), the seed of the initial weights, and of the masks of
            calls without `seed`.
        rnn: `"lstm"` (the default), `"gru"` or `"qrnn"` (`--model`), the layers: `WeightDropLSTM`,
            `WeightDropGRU`, or `WeightDropQRNN` with a window of 2 in the first layer and 1 in the
            others. "LSTM" stands for any of them here. The bound of the initial weights of a QRNN
            is `1 / sqrt(window * features)`.
        embedding: `None` (the default), or a `keras.layers.Embedding` to use instead of a new one.
            Its `mask_zero` has no effect; pass `lengths`.
        **kwargs: Arguments of `keras.Model`: `name` and `dtype`.

    Call arguments:
        token_ids: Integer tensor of shape `(batch_size, timesteps)`.
        states: A list of the states of each layer, or `None` (the default) for zeros. For an LSTM,
            they are `[h, c]`, for a GRU `[h]` and for a QRNN `[c]`, tensors of shape
            `(batch_size, units)`; the first QRNN also has its last input, `[c, x]`.
        training: Whether to apply dropout. Defaults to False.
        seed: `None` (the default), or an int32 tensor of shape `(2,)` that determines all masks.
        time_major: Whether time is the first axis of `token_ids` and the outputs, which saves
            transpositions. Defaults to False.
        implementation, lengths: As in `awd_keras.ops.lstm`.

    Returns:
        `(raw_outputs, dropped_outputs, states)`: the outputs of the last LSTM before and after its
        dropout, of shape `(batch_size, timesteps, units)`, and the final states in float32.

    Raises:
        ValueError: If a size is not a positive integer, a rate is not in the range `[0, 1)`, `rnn`
            is unknown, or `embedding` is not an `Embedding` of these sizes.

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
        rnn="lstm",
        embedding=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
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
        self.rnn = rnn
        if rnn not in CELLS:
            raise ValueError(f"`rnn` must be one of {', '.join(CELLS)}. Received: rnn={rnn!r}")
        for name in _SIZES:
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={size!r}")

        if embedding is not None:
            validated_embedding(embedding)
            sizes = (embedding.input_dim, embedding.output_dim)
            if sizes != (vocabulary_size, embedding_dim):
                raise ValueError(
                    "`embedding` must have `vocabulary_size` rows of `embedding_dim` numbers, "
                    f"({vocabulary_size}, {embedding_dim}). Received: {sizes}"
                )

        policy = self.dtype_policy
        self.embedding = embedding or keras.layers.Embedding(
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
        features = [embedding_dim, *units[:-1]]
        self.lstm_layers = [
            CELLS[rnn](
                layer_units,
                layer_features,
                index,
                lambda bound, i, index=index: self._uniform(bound, 10 * index + i),
                weight_dropout=weight_dropout,
                return_sequences=True,
                return_state=True,
                seed=self._seed(_WEIGHT + index),
                dtype=policy,
                name=f"{rnn}_{index}",
            )
            for index, (layer_units, layer_features) in enumerate(zip(units, features, strict=True))
        ]
        self.hidden_locked_dropouts = [
            self._locked(f"hidden_dropout_{index}", hidden_dropout, _HIDDEN + index)
            for index in range(num_layers - 1)
        ]
        self.output_locked_dropout = self._locked("output_dropout", output_dropout, _OUTPUT)

        # Create the weights now, since their shapes do not depend on the inputs.
        self.dropped_embedding.build((None, None))
        for layer, layer_features in zip(self.lstm_layers, features, strict=True):
            layer.build((None, None, layer_features))
        self.built = True

    def _seed(self, index):
        return None if self.seed is None else self.seed * 1000 + index

    def _uniform(self, bound, index):
        return keras.initializers.RandomUniform(-bound, bound, seed=self._seed(500 + index))

    def _locked(self, name, rate, index):
        return LockedDropout(rate, seed=self._seed(index), dtype=self.dtype_policy, name=name)

    @property
    def output_dim(self):
        """Number of units of the last LSTM."""
        return self.lstm_layers[-1].units

    def initial_state(self, batch_size):
        """Returns zero states, a list of tensors for each layer."""
        return [layer.get_initial_state(batch_size) for layer in self.lstm_layers]

    def call(
        self,
        token_ids,
        states=None,
        training=False,
        seed=None,
        time_major=False,
        implementation="auto",
        lengths=None,
    ):
        def layer_seed(index):
            if seed is None:
                return None
            # For two integers, launching kernels on a GPU takes longer than computing on the CPU.
            with tf.device("CPU:0"):
                return fold_in(seed, index)

        def layer_kwargs(index):
            return {"training": training, "seed": layer_seed(index), "time_major": True}

        token_ids = tf.cast(token_ids, tf.int32)
        if states is None:
            states = self.initial_state(tf.shape(token_ids)[1 if time_major else 0])
        # All layers run time-major; only ids and outputs are transposed.
        if not time_major:
            token_ids = transposed_ids(token_ids)
        x = self.dropped_embedding(token_ids, training=training, seed=layer_seed(_EMBEDDING))
        x = self.input_locked_dropout(x, **layer_kwargs(_INPUT))
        final_states = []
        for index, layer in enumerate(self.lstm_layers):
            raw, *state = layer(
                x,
                initial_state=states[index],
                implementation=implementation,
                lengths=lengths,
                **layer_kwargs(_WEIGHT + index),
            )
            final_states.append(state)
            if index < self.num_layers - 1:
                x = self.hidden_locked_dropouts[index](raw, **layer_kwargs(_HIDDEN + index))
        dropped = self.output_locked_dropout(raw, **layer_kwargs(_OUTPUT))
        if not time_major:
            raw, dropped = (tf.transpose(outputs, (1, 0, 2)) for outputs in (raw, dropped))
        return raw, dropped, final_states

    def get_config(self):
        return {
            **super().get_config(),
            # Serialized as in the layers that share it, so that loading shares it again.
            "embedding": self.dropped_embedding.get_config()["embedding"],
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    @classmethod
    def from_config(cls, config):
        embedding = config.get("embedding")
        if embedding is not None:
            embedding = keras.saving.deserialize_keras_object(embedding)
        return cls(**{**config, "embedding": embedding})
