"""The model behind the exported signatures."""

import keras
import tensorflow as tf

from awd_keras.models.constant_weights import constant_recurrent_weights
from awd_keras.models.train_step import window_signature
from awd_keras.ops.lstm import transposed_ids

# Limits on the memory of a window: words in all rows, and logits (64 MiB).
_MAX_WINDOW_WORDS = 2048
_MAX_WINDOW_LOGITS = 2**24


class Network:
    """A copy of a language model in the dtype of the export.

    States are those of `AWDLSTM`, a list of tensors for each layer. When exporting, trace the
    methods inside `awd_keras.ops.portable_kernels()`.

    Args:
        model: An `AWDLSTMLanguageModel`. It is not changed.
        dtype: `"float32"` or `"bfloat16"`, the dtype of the weights and matmuls.
    """

    def __init__(self, model, dtype):
        layers = type(model).from_config({**model.get_config(), "dtype": dtype})
        layers.set_weights(model.get_weights())
        self._backbone, self._decoder = layers.backbone, layers.decoder
        self.zero_states = self._backbone.initial_state
        self.vocabulary_size = self._backbone.vocabulary_size
        self._state_sizes = [state.shape[1] for state in tf.nest.flatten(self.zero_states(1))]
        self.state_size = sum(self._state_sizes)

        weights, matrix = layers.weights, self._decoder.matrix
        self._columns = None
        if dtype == "float32" and not layers.adaptive_softmax_cutoffs:
            # On CPUs, multiplying a few float32 rows by a transposed matrix is several times
            # slower, so the softmax uses a copy that is already transposed.
            self._columns = tf.Variable(tf.transpose(matrix), trainable=False)
            if not self._backbone.tie_weights:
                weights = [weight for weight in weights if weight is not matrix]
        self.variables = [weight.value for weight in weights]
        if self._columns is not None:
            self.variables.append(self._columns)
        # One function for all signatures that read texts, so that its constants are stored once.
        self._read_text = tf.function(self._read_with_constants, window_signature(layers)[1:])

    def read(self, token_ids, states):
        """Reads words. If the number of time steps is statically 1, the graph has no loop.

        Args:
            token_ids: int32 tensor of shape `(timesteps, batch_size)`, with at least one time step.
            states: The states before these words.

        Returns:
            `(outputs, states)`: the input of `logits`, of shape `(timesteps, batch_size, units)`,
            and the states after the last time step.
        """
        _, outputs, states = self._backbone(token_ids, states, time_major=True)
        return outputs, states

    def _read_with_constants(self, token_ids, states):
        with constant_recurrent_weights(self._backbone):
            return self.read(token_ids, states)

    def logits(self, outputs):
        """Returns float32 logits of shape `(..., vocabulary_size)`."""
        if self._columns is None:
            return self._decoder(outputs)
        # The decoder transposes its matrix again; the graph optimizer removes both transposes.
        with keras.StatelessScope([(self._decoder.matrix, tf.transpose(self._columns))]):
            return self._decoder(outputs)

    def read_word(self, token_ids, states):
        """Reads one word per row; returns the logits of the next word and the new states."""
        outputs, states = self.read(token_ids[tf.newaxis], states)
        return self.logits(outputs[0]), states

    def step(self, token_ids, state):
        """The signature `step` without checks; `state` is the concatenation of all states."""
        parts = tf.split(state, self._state_sizes, axis=1)
        states = tf.nest.pack_sequence_as(self.zero_states(1), parts)
        logits, states = self.read_word(token_ids, states)
        return {
            "log_probabilities": tf.nn.log_softmax(logits),
            "next_state": tf.concat(tf.nest.flatten(states), axis=1),
        }

    def states_after(self, token_ids, lengths):
        """Reads texts from the zero state.

        Args:
            token_ids: int32 tensor of shape `(batch_size, timesteps)`.
            lengths: int32 tensor of shape `(batch_size,)`, the number of words in each row.

        Returns:
            `(outputs, states)` after the last word of each row.
        """
        token_ids = transposed_ids(token_ids)
        width, batch_size = self._window_width(token_ids), tf.shape(token_ids)[1]
        outputs = tf.zeros((batch_size, self._backbone.output_dim), self._backbone.compute_dtype)

        def read_window(start, *last):
            # A window ends where the shortest active row ends, so that its states can be kept.
            is_active = start < lengths
            ends = tf.where(is_active, tf.minimum(lengths, start + width), start + width)
            end = tf.reduce_min(ends)
            outputs, states = self._read_text(token_ids[start:end], last[1])
            is_active = is_active[:, tf.newaxis]
            return end, *tf.nest.map_structure(
                lambda new, old: tf.where(is_active, new, old), (outputs[-1], states), last
            )

        return tf.while_loop(
            lambda start, *_: tf.reduce_any(start < lengths),
            read_window,
            (tf.constant(0), outputs, self.zero_states(batch_size)),
            parallel_iterations=1,
        )[1:]

    def log_probabilities(self, inputs, targets, lengths):
        """Scores texts from the zero state, in windows of bounded size.

        Args:
            inputs: int32 tensor of shape `(batch_size, timesteps)`, the word before each target.
            targets: int32 tensor of shape `(batch_size, timesteps)`.
            lengths: int32 tensor of shape `(batch_size,)`, the number of targets in each row.

        Returns:
            float32 tensor of shape `(batch_size, timesteps)`, 0 for padding.
        """
        inputs, targets = transposed_ids(inputs), transposed_ids(targets)
        timesteps = tf.shape(inputs)[0]
        width = self._window_width(inputs)

        def read_window(start, states, scores):
            outputs, states = self._read_text(inputs[start : start + width], states)
            # Padding can be most of a batch, so compute the softmax without it.
            steps = tf.range(start, tf.minimum(start + width, timesteps))
            positions = tf.cast(tf.where(steps[:, tf.newaxis] < lengths), tf.int32)
            logits = self.logits(tf.gather_nd(outputs, positions))
            positions += [start, 0]
            words = tf.gather_nd(targets, positions)
            values = tf.gather(logits, words, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            return start + width, states, tf.tensor_scatter_nd_update(scores, positions, values)

        scores = tf.while_loop(
            lambda start, *_: start < timesteps,
            read_window,
            (tf.constant(0), self.zero_states(tf.shape(inputs)[1]), tf.zeros(tf.shape(inputs))),
            parallel_iterations=1,
        )[2]
        return tf.transpose(scores)

    def _window_width(self, token_ids):
        words = max(1, min(_MAX_WINDOW_WORDS, _MAX_WINDOW_LOGITS // self.vocabulary_size))
        return tf.maximum(1, words // tf.maximum(tf.shape(token_ids)[1], 1))
