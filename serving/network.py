"""The trained layers of a model, as the signatures of an export call them."""

import keras
import tensorflow as tf

from awd_keras.ops.lstm import transposed_ids

# Bounds on the memory of one window: words in all rows together, and logits (64 MiB).
_MAX_WINDOW_WORDS = 2048
_MAX_WINDOW_LOGITS = 2**24


class Network:
    """A copy of a language model's layers in the dtype of the export.

    States are `[[h, c]] * num_layers`, as in `AWDLSTM`. Token ids and outputs are time-major.
    Calls must be traced inside `awd_keras.ops.portable_kernels()`.

    Args:
        model: an `AWDLSTMLanguageModel`, which is left unchanged.
        dtype: `"float32"` or `"bfloat16"`, the dtype of the weights and matmuls.
    """

    def __init__(self, model, dtype):
        layers = type(model).from_config({**model.get_config(), "dtype": dtype})
        layers.set_weights(model.get_weights())
        self._backbone, self._decoder = layers.backbone, layers.decoder
        matrices = layers.weights
        self._columns = None
        if dtype == "float32":
            # With few rows, a float32 matmul by a transposed matrix is several times slower on a
            # CPU, so the softmax reads its matrix from a transposed copy.
            self._columns = tf.Variable(tf.transpose(self._decoder.matrix), trainable=False)
            if not self._backbone.tie_weights:
                matrices = [w for w in matrices if w is not self._decoder.matrix]
        self.variables = [weight.value for weight in matrices]
        if self._columns is not None:
            self.variables.append(self._columns)

    @property
    def vocabulary_size(self):
        """Number of words."""
        return self._backbone.vocabulary_size

    @property
    def state_size(self):
        """Number of values in the states of a row, h and c of all layers."""
        return sum(self._state_sizes())

    def read(self, token_ids, states):
        """Reads words; with one time step known in advance, without any loop.

        Args:
            token_ids: int32 tensor (timesteps, batch_size), at least one time step.
            states: the states before them.

        Returns:
            `(outputs, states)`: (timesteps, batch_size, units) for `logits`, and the states after
            the last time step.
        """
        _, outputs, states = self._backbone(token_ids, states, time_major=True)
        return outputs, states

    def logits(self, outputs):
        """Returns float32 logits (..., vocabulary_size) of outputs (..., units)."""
        if self._columns is None:
            return self._decoder(outputs)
        # The decoder transposes the matrix again, and the graph optimizer removes both.
        with keras.StatelessScope([(self._decoder.matrix, tf.transpose(self._columns))]):
            return self._decoder(outputs)

    def states_after(self, token_ids, lengths):
        """Reads texts from the zero state.

        Args:
            token_ids: int32 tensor (batch_size, timesteps).
            lengths: int32 tensor (batch_size,), the number of words in each row.

        Returns:
            the states after the last word of each row.
        """
        token_ids = transposed_ids(token_ids)
        batch_size = tf.shape(token_ids)[1]
        width = self._window_width(batch_size)

        def read_window(start, states):
            # A window ends where a row ends: its states are final.
            is_active = start < lengths
            end = tf.reduce_min(tf.where(is_active, lengths, start + width))
            end = tf.minimum(end, start + width)
            _, new_states = self.read(token_ids[start:end], states)
            is_active = is_active[:, tf.newaxis]
            states = tf.nest.map_structure(
                lambda new, old: tf.where(is_active, new, old), new_states, states
            )
            return end, states

        _, states = tf.while_loop(
            lambda start, _: tf.reduce_any(start < lengths),
            read_window,
            (tf.constant(0), self.zero_states(batch_size)),
            parallel_iterations=1,
        )
        return states

    def log_probabilities(self, inputs, targets, lengths):
        """Scores texts from the zero state, in windows of bounded size.

        Args:
            inputs: int32 tensor (batch_size, timesteps), the word before each target.
            targets: int32 tensor (batch_size, timesteps).
            lengths: int32 tensor (batch_size,), the number of targets in each row.

        Returns:
            float32 tensor (batch_size, timesteps), 0 for padding.
        """
        inputs, targets = transposed_ids(inputs), transposed_ids(targets)
        timesteps, batch_size = tf.unstack(tf.shape(inputs))
        width = self._window_width(batch_size)

        def read_window(start, states, scores):
            outputs, states = self.read(inputs[start : start + width], states)
            # Padding may be most of a batch, and the softmax skips it.
            steps = tf.range(start, tf.minimum(start + width, timesteps))
            positions = tf.cast(tf.where(steps[:, tf.newaxis] < lengths), tf.int32)
            logits = self.logits(tf.gather_nd(outputs, positions))
            positions += [start, 0]
            words = tf.gather_nd(targets, positions)
            values = tf.gather(logits, words, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            return start + width, states, tf.tensor_scatter_nd_update(scores, positions, values)

        _, _, scores = tf.while_loop(
            lambda start, *_: start < timesteps,
            read_window,
            (tf.constant(0), self.zero_states(batch_size), tf.zeros((timesteps, batch_size))),
            parallel_iterations=1,
        )
        return tf.transpose(scores)

    def zero_states(self, batch_size):
        """Returns the states at the beginning of texts."""
        return self._backbone.initial_state(batch_size)

    def pack(self, states):
        """Concatenates states to a tensor (batch_size, state_size)."""
        return tf.concat(tf.nest.flatten(states), axis=1)

    def unpack(self, packed):
        """Splits a tensor (batch_size, state_size) into states."""
        parts = tf.split(packed, self._state_sizes(), axis=1)
        return [list(pair) for pair in zip(parts[::2], parts[1::2], strict=True)]

    def _state_sizes(self):
        return [part.shape[1] for part in tf.nest.flatten(self.zero_states(1))]

    def _window_width(self, batch_size):
        words = max(1, min(_MAX_WINDOW_WORDS, _MAX_WINDOW_LOGITS // self.vocabulary_size))
        return tf.maximum(1, words // tf.maximum(batch_size, 1))
