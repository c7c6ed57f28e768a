"""The model of the reference vectors, twice: of functions with given masks, and as users have it.

Both have `variables`, by the names of the vectors, and the methods `logits` and `losses`: tokens
and targets are integer arrays (timesteps, batch_size), outputs are time-major too.
"""

import keras
import numpy as np
import tensorflow as tf

from awd_keras import losses, ops
from awd_keras.models import AWDLSTMLanguageModel

VOCABULARY_SIZE, EMBEDDING_DIM, HIDDEN_DIM, NUM_LAYERS = 61, 12, 20, 3


class Functions:
    """The model put together from the library's functions, with the masks of the vectors.

    Args:
        vectors: dictionary of arrays, as `read_vectors` returns it.
        dtype: "float64" or "float32".
        masked: whether to drop by the masks of the vectors.
        chunk_size: tokens whose logits the cross-entropy holds at once, or None.
        implementation: the LSTM's kernel.
    """

    def __init__(self, vectors, dtype, masked=False, chunk_size=None, implementation="portable"):
        self._vectors, self._dtype, self._masked = vectors, dtype, masked
        self._chunk_size, self._implementation = chunk_size, implementation
        self.variables = {
            name: keras.Variable(value, dtype=dtype, name=name.rpartition("/")[2])
            for name, value in parameters(vectors).items()
        }

    def logits(self, tokens, states):
        """Logits (timesteps, batch_size, words), and the final states."""
        _, hidden, finals = self._hidden(tokens, states)
        logits = tf.einsum("tbd,vd->tbv", hidden, self._weight("embedding"))
        return logits + self._weight("softmax_bias"), finals

    def losses(self, tokens, targets, states):
        """The three parts of the loss, and the final states."""
        raw, hidden, finals = self._hidden(tokens, states)
        total, num_tokens = ops.sequence_cross_entropy(
            hidden,
            self._weight("embedding"),
            self._weight("softmax_bias"),
            targets,
            chunk_size=self._chunk_size,
        )
        raw, hidden = (tf.transpose(x, (1, 0, 2)) for x in (raw, hidden))
        return loss_parts(total, num_tokens, raw, hidden, self._vectors), finals

    def _hidden(self, tokens, states):
        """Outputs of the last LSTM, raw and dropped, and the final states."""
        hidden = tf.gather(self._weight("embedding") * self._mask("embedding_mask"), tokens)
        hidden *= self._mask("input_mask")
        finals = []
        for layer in range(NUM_LAYERS):
            name, is_last = f"lstm{layer}", layer == NUM_LAYERS - 1
            recurrent_mask = self._mask(f"{name}/recurrent_kernel_mask")
            raw, *final = ops.lstm(
                hidden,
                *states[layer],
                self._weight(f"{name}/kernel"),
                self._weight(f"{name}/recurrent_kernel") * recurrent_mask,
                self._weight(f"{name}/bias"),
                time_major=True,
                implementation=self._implementation,
            )
            finals.append(final)
            hidden = raw * self._mask("output_mask" if is_last else f"{name}/hidden_mask")
        return raw, hidden, finals

    def _weight(self, name):
        return tf.convert_to_tensor(self.variables[name])

    def _mask(self, name):
        value = self._vectors[f"mask/{name}"] if self._masked else 1.0
        return tf.constant(value, self._dtype)


class LanguageModel:
    """An `AWDLSTMLanguageModel` with the weights of the vectors, in Keras's float type.

    Args:
        vectors: dictionary of arrays, as `read_vectors` returns it.
    """

    def __init__(self, vectors):
        rates = ("input", "hidden", "output", "embedding", "weight")
        self.model = AWDLSTMLanguageModel(
            VOCABULARY_SIZE,
            embedding_dim=EMBEDDING_DIM,
            hidden_dim=HIDDEN_DIM,
            num_layers=NUM_LAYERS,
            **{f"{name}_dropout": 0.0 for name in rates},
        )
        self.model(np.zeros((1, 1), "int32"))
        backbone = self.model.backbone
        self.variables = {"embedding": backbone.embedding.embeddings}
        for index, layer in enumerate(backbone.lstm_layers):
            for name in ("kernel", "recurrent_kernel", "bias"):
                self.variables[f"lstm{index}/{name}"] = getattr(layer, name)
        self.variables["softmax_bias"] = self.model.decoder.bias
        for name, value in parameters(vectors).items():
            self.variables[name].assign(value)
        self._vectors = vectors

    def logits(self, tokens, states):
        """Logits (timesteps, batch_size, words), and the final states."""
        logits, finals = self.model(tf.constant(tokens.T), states=states)
        return tf.transpose(logits, (1, 0, 2)), finals

    def losses(self, tokens, targets, states):
        """The three parts of the loss as training computes them, and the final states."""
        backbone, bias = self.model.backbone, self.model.decoder.bias
        raw, dropped, finals = backbone(tf.constant(tokens.T), states=states, training=True)
        total, num_tokens = ops.sequence_cross_entropy(
            dropped, backbone.embedding.embeddings, bias, tf.constant(targets.T)
        )
        return loss_parts(total, num_tokens, raw, dropped, self._vectors), finals


def parameters(vectors):
    """The weights among the vectors, by name."""
    return {k.removeprefix("param/"): v for k, v in vectors.items() if k.startswith("param/")}


def loss_parts(total, num_tokens, raw, dropped, vectors):
    """Nats a token, AR and TAR; the outputs (batch_size, timesteps, features)."""
    return (
        total / tf.cast(num_tokens, total.dtype),
        losses.activation_regularization(dropped, float(vectors["alpha"])),
        losses.temporal_activation_regularization(raw, float(vectors["beta"])),
    )
