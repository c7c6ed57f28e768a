"""The network of an exported graph: a trained model's weights, and what is computed with them.

The equations are those of `awd_keras.ops.lstm`, without what only training needs, in operations
that every machine has: nothing of cuDNN, whichever machine exports. Products have the dtype of the
export; states and everything else are float32.
"""

import numpy as np
import tensorflow as tf

from awd_keras.ops.layout import transposed_ids
from serving.matrix import DenseMatrix, QuantizedMatrix, RowTable

# What a window of a text has at most, so that memory is bounded: words, and logits (64 MiB).
_WINDOW_WORDS = 2048
_WINDOW_LOGITS = 2**24


class Network(tf.Module):
    """A copy of a language model's weights, and functions of tensors that read them.

    Args:
        model: an `AWDLSTMLanguageModel`; nothing of it is changed or kept.
        dtype: "float32" or "bfloat16", of the products.
        weights: "int8", or the dtype again: how matrices are stored.
    """

    def __init__(self, model, dtype, weights):
        super().__init__()
        backbone, decoder = model.backbone, model.decoder
        quantized = weights == "int8"
        matrix = QuantizedMatrix if quantized else DenseMatrix
        self.vocabulary_size = backbone.vocabulary_size
        self._softmax = matrix(_array(decoder.matrix).T, dtype)
        self._softmax_bias = _variable(_array(decoder.bias), "softmax_bias")
        if backbone.tie_weights:
            self._embedding = self._softmax
        else:
            embedding = _array(backbone.embedding.embeddings)
            self._embedding = RowTable(embedding, dtype, quantized)
        self._kernels, self._recurrent_kernels, self._biases = [], [], []
        for layer in backbone.lstm_layers:
            self._kernels.append(matrix(_gates_last(_array(layer.kernel)), dtype))
            recurrent_kernel = _gates_last(_array(layer.recurrent_kernel))
            self._recurrent_kernels.append(matrix(recurrent_kernel, dtype))
            self._biases.append(_variable(_gates_last(_array(layer.bias)), "bias"))
        self._units = [layer.units for layer in backbone.lstm_layers]

    @property
    def state_size(self):
        """Entries of a state: h and c of every layer."""
        return 2 * sum(self._units)

    def window_words(self):
        """Words that are read at once, at most, in all rows together."""
        return max(1, min(_WINDOW_WORDS, _WINDOW_LOGITS // self.vocabulary_size))

    def step(self, token_ids, state):
        """Reads one word in each row.

        Args:
            token_ids: int32 tensor (batch_size,).
            state: float32 tensor (batch_size, state_size): h and c of the first layer, of the
                second and so on, side by side.

        Returns:
            `(output, state)`: float32 tensor (batch_size, units) for `logits`, and the new state.
        """
        x = self._embedding.lookup(token_ids)
        parts = []
        for index, (h, c) in enumerate(self._layers(state)):
            z = self._kernels[index].product(x) + self._biases[index]
            x, c = _cell(z + self._recurrent_kernels[index].product(h), c)
            parts += [x, c]
        return x, tf.concat(parts, axis=1)

    def read(self, token_ids, state, lengths=None):
        """Reads one window of words, a layer after the other.

        Args:
            token_ids: int32 tensor (batch_size, timesteps), at least one time step.
            state: as in `step`.
            lengths: None, or int32 tensor (batch_size,): from there on a row's state stays as it
                is. Without it nothing is held, and what follows a row's end only follows.

        Returns:
            `(outputs, state)`: float32 tensor (timesteps, batch_size, units) for `logits`, and the
            state after the window.
        """
        batch_size, timesteps = tf.unstack(tf.shape(token_ids))
        x = self._embedding.lookup(tf.reshape(transposed_ids(token_ids), (-1,)))
        parts = []
        for index, (h, c) in enumerate(self._layers(state)):
            # One product for all time steps, which reads the matrix once.
            z = self._kernels[index].product(x) + self._biases[index]
            z = tf.reshape(z, (timesteps, batch_size, 4 * self._units[index]))
            outputs, h, c = _recurrence(z, h, c, self._recurrent_kernels[index], lengths)
            parts += [h, c]
            x = tf.reshape(outputs, (-1, self._units[index]))
        return outputs, tf.concat(parts, axis=1)

    def logits(self, outputs):
        """float32 tensor (rows, vocabulary_size) of outputs (rows, units)."""
        return self._softmax.product(outputs) + self._softmax_bias

    def last_state(self, token_ids, lengths):
        """Reads texts from the zero state, in windows.

        Args:
            token_ids: int32 tensor (batch_size, timesteps).
            lengths: int32 tensor (batch_size,): words of each row.

        Returns:
            float32 tensor (batch_size, state_size): the state after each row's last word.
        """
        windows, width = self._windows(token_ids)

        def read_window(index, state):
            _, state = self.read(windows[index], state, lengths - index * width)
            return index + 1, state

        state = self.zero_state(tf.shape(token_ids)[0])
        return _loop(tf.shape(windows)[0], read_window, state)

    def log_probabilities(self, inputs, targets, lengths):
        """What each word of a text is given, from the zero state, in windows.

        Args:
            inputs: int32 tensor (batch_size, timesteps): the word before each.
            targets: int32 tensor (batch_size, timesteps).
            lengths: int32 tensor (batch_size,): words of each row that count.

        Returns:
            float32 tensor (batch_size, timesteps), 0 where nothing counts.
        """
        batch_size, timesteps = tf.unstack(tf.shape(inputs))
        inputs, width = self._windows(inputs)
        targets, _ = self._windows(targets)
        num_windows = tf.shape(inputs)[0]
        found = tf.TensorArray(tf.float32, num_windows, element_shape=(None, None))

        def read_window(index, state, found):
            outputs, state = self.read(inputs[index], state)
            # Padding is never multiplied with the softmax: it may be most of a batch.
            steps = index * width + tf.range(width)[:, tf.newaxis]
            places = tf.where(steps < lengths)
            logits = self.logits(tf.gather_nd(outputs, places))
            words = tf.gather_nd(transposed_ids(targets[index]), places)
            values = tf.gather(logits, words, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            by_step = tf.scatter_nd(places, values, tf.cast((width, batch_size), tf.int64))
            return index + 1, state, found.write(index, by_step)

        _, found = _loop(num_windows, read_window, self.zero_state(batch_size), found)
        # (windows, width, batch_size)
        by_step = tf.reshape(found.stack(), tf.stack([num_windows * width, batch_size]))
        return tf.transpose(by_step[:timesteps])

    def output_of(self, state):
        """What a state was the output of: (batch_size, units) for `logits`, h of the last layer."""
        return self._layers(state)[-1][0]

    def zero_state(self, batch_size):
        """Zeros (batch_size, state_size)."""
        return tf.zeros((batch_size, self.state_size))

    def _layers(self, state):
        """`(h, c)` of each layer."""
        parts = tf.split(state, [units for units in self._units for _ in range(2)], axis=1)
        return list(zip(parts[::2], parts[1::2], strict=True))

    def _windows(self, token_ids):
        """Cuts rows into windows of a width that fits: (windows, batch_size, width), and width."""
        batch_size, timesteps = tf.unstack(tf.shape(token_ids))
        width = self.window_words() // tf.maximum(batch_size, 1)
        width = tf.clip_by_value(width, 1, tf.maximum(timesteps, 1))
        num_windows = tf.maximum(1, -(-timesteps // width))
        padded = tf.pad(token_ids, [[0, 0], [0, num_windows * width - timesteps]])
        windows = tf.reshape(padded, tf.stack([batch_size, num_windows, width]))
        return transposed_ids(windows), width


def _array(variable):
    return np.asarray(variable.numpy(), np.float32)


def _variable(values, name):
    return tf.Variable(values, trainable=False, name=name)


def _gates_last(values):
    """Reorders gates from i, f, c, o to i, f, o, c: the three sigmoids become one."""
    i, f, c, o = np.split(values, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def _cell(z, c):
    """`(h, c)` of the gates before their activation (rows, 4 * units), and c (rows, units)."""
    units = c.shape[1]
    i, f, o = tf.split(tf.sigmoid(z[:, : 3 * units]), 3, axis=1)
    c = f * c + i * tf.tanh(z[:, 3 * units :])
    return o * tf.tanh(c), c


def _recurrence(z, h, c, recurrent_kernel, lengths):
    """The part of a layer that must go step by step.

    Returns:
        `(outputs, h, c)`, outputs (timesteps, batch_size, units).
    """
    timesteps = tf.shape(z)[0]
    product = recurrent_kernel.product_of_a_loop()
    outputs = tf.TensorArray(tf.float32, timesteps, element_shape=h.shape)

    def read_word(step, h, c, outputs):
        new_h, new_c = _cell(z[step] + product(h), c)
        if lengths is not None:
            active = (step < lengths)[:, tf.newaxis]
            new_h, new_c = tf.where(active, new_h, h), tf.where(active, new_c, c)
        return step + 1, new_h, new_c, outputs.write(step, new_h)

    h, c, outputs = _loop(timesteps, read_word, h, c, outputs)
    return outputs.stack(), h, c


def _loop(count, body, *values):
    """Runs `(index, *values) = body(index, *values)` so often; returns the values."""
    results = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (tf.constant(0), *values),
        parallel_iterations=1,
    )[1:]
    return results[0] if len(results) == 1 else results
