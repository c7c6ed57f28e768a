"""What the weight-dropped recurrent layers have in common."""

import operator

import keras
import tensorflow as tf

from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from awd_keras.ops.random import dropout_mask

_USE_CUDNN = {"auto": "auto", True: "cudnn", False: "portable"}


class WeightDropRNN(StochasticLayer):
    """Mixin for a `keras.layers.RNN` that drops entries of a matrix and runs an operation.

    A layer says in `dropped_weight` which weight of its cell is dropped, in `state_names` what its
    states are, and in `run` what it computes. Arguments of Keras that the operation does not
    support fall back to Keras's own loop.
    """

    dropped_weight = "recurrent_kernel"
    state_names = ("h",)
    use_cudnn = "auto"

    def __init__(self, units, weight_dropout=0.0, **kwargs):
        super().__init__(operator.index(units), **kwargs)
        self.set_up(weight_dropout)

    def set_up(self, weight_dropout):
        """Completes a layer whose cell has been made."""
        self.weight_dropout = validated_rate("weight_dropout", weight_dropout)
        if self.weight_dropout > 0:
            self.seed_generator = self.cell.seed_generator
        # Keras would cast the float32 states to half precision.
        self.autocast = False
        # Otherwise `fit` might use XLA, which uses neither cuDNN nor oneDNN.
        self.supports_jit = False

    @property
    def state_dtype(self):
        return "float64" if self.compute_dtype == "float64" else "float32"

    def get_initial_state(self, batch_size):
        """Returns zero states, a list of tensors whose first dimension is the batch."""
        return [tf.zeros((batch_size, size), self.state_dtype) for size in self.state_size]

    def call(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        seed=None,
        time_major=False,
        lengths=None,
        implementation="auto",
    ):
        sequences = tf.cast(sequences, self.compute_dtype)
        if initial_state is None:
            batch_axis = 1 if time_major else 0
            if self.stateful:
                self._check_stateful_call(sequences.shape[batch_axis], time_major)
                initial_state = self.states
            else:
                initial_state = self.get_initial_state(tf.shape(sequences)[batch_axis])
        if len(self.state_names) == 1 and not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        if not (
            isinstance(initial_state, (list, tuple)) and len(initial_state) == len(self.state_names)
        ):
            raise ValueError(
                f"`initial_state` must be a list of tensors, [{', '.join(self.state_names)}]. "
                f"Received: {initial_state}"
            )
        initial_state = [tf.convert_to_tensor(state) for state in initial_state]
        if isinstance(mask, (list, tuple)):
            mask = mask[0]

        drops_units = self.dropout > 0 or self.recurrent_dropout > 0
        if drops_units:  # the cell keeps its masks until they are reset
            self.cell.get_dropout_mask(sequences[0] if time_major else sequences[:, 0])
            self.cell.get_recurrent_dropout_mask(tf.cast(initial_state[0], self.compute_dtype))
        last_output, outputs, states = self.inner_loop(
            sequences, initial_state, mask, training, seed, time_major, lengths, implementation
        )
        if drops_units:
            self.cell.reset_dropout_mask()
            self.cell.reset_recurrent_dropout_mask()

        states = [tf.cast(state, self.state_dtype) for state in states]
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(state)
        output = outputs if self.return_sequences else last_output
        return (output, *states) if self.return_state else output

    def _check_stateful_call(self, batch_size, time_major):
        if time_major:
            raise ValueError("A stateful layer does not support `time_major=True`.")
        expected = self.states[0].shape[0]
        if batch_size not in (None, expected):
            raise ValueError(
                f"A stateful layer always has the batch size of its first call, {expected}. "
                f"Received: batch_size={batch_size}"
            )

    def inner_loop(
        self,
        sequences,
        initial_state,
        mask,
        training=False,
        seed=None,
        time_major=False,
        lengths=None,
        implementation="auto",
    ):
        matrix = tf.convert_to_tensor(getattr(self.cell, self.dropped_weight))
        if training and self.weight_dropout > 0:
            matrix = tf.cast(matrix, self.compute_dtype)
            mask_seed = self.mask_seed(seed)
            matrix *= dropout_mask(matrix.shape, self.weight_dropout, mask_seed, matrix.dtype)
        if lengths is not None and (self.go_backwards or not self.return_sequences):
            raise ValueError(
                "`lengths` requires return_sequences=True and go_backwards=False. Pass `mask` "
                "instead."
            )
        if not self.is_standard():
            if time_major or lengths is not None or self.use_cudnn is True:
                raise ValueError(
                    "`time_major=True`, `lengths` and `use_cudnn=True` require tanh and sigmoid "
                    "activations, a bias, no recurrent_dropout, no unroll, implementation=2 and, "
                    "for a GRU, reset_after=True."
                )
            return self._keras_loop(sequences, initial_state, mask, training, matrix)

        time_axis = 0 if time_major else 1
        if training and self.dropout > 0:
            sequences *= tf.expand_dims(self.cell.get_dropout_mask(None), time_axis)
        if mask is not None:
            mask = tf.cast(mask, tf.bool)
        if self.go_backwards:
            sequences = tf.reverse(sequences, [time_axis])
            mask = None if mask is None else tf.reverse(mask, [time_axis])
        if implementation == "auto":
            implementation = _USE_CUDNN[self.use_cudnn]
        outputs, *states = self.run(
            sequences,
            initial_state,
            matrix,
            seed,
            mask=mask,
            lengths=lengths,
            time_major=time_major,
            implementation=implementation,
            training=training,
        )
        if mask is not None and self.zero_output_for_mask:
            outputs = tf.where(mask[..., tf.newaxis], outputs, tf.zeros_like(outputs))
        last_output = outputs[-1] if time_major else outputs[:, -1]
        return last_output, outputs, states

    def run(self, sequences, initial_state, matrix, seed, **options):
        """Returns outputs and final states; `options` are arguments of `ops.lstm`."""
        raise NotImplementedError

    def is_standard(self):
        """Whether the operation supports the arguments of the layer."""
        return (
            self.activation == keras.activations.tanh
            and self.recurrent_activation == keras.activations.sigmoid
            and self.use_bias
            and not self.unroll
            # Recurrent dropout sets it to 1, which uses one input dropout mask per gate.
            and self.cell.implementation == 2
        )

    def _keras_loop(self, sequences, initial_state, mask, training, matrix):
        values = {weight.name: weight.value for weight in self.cell.weights}
        values[self.dropped_weight] = matrix
        initial_state = [tf.cast(state, self.compute_dtype) for state in initial_state]
        with keras.StatelessScope([(w, values[w.name]) for w in self.cell.weights]):
            # Bypass the layer's own method, which may choose Keras's kernel for cuDNN.
            return keras.layers.RNN.inner_loop(self, sequences, initial_state, mask, training)

    def compute_output_shape(self, sequences_shape, initial_state_shape=None, time_major=False):
        batch_size = sequences_shape[1 if time_major else 0]
        last = (batch_size, self.units)
        outputs = (*sequences_shape[:2], self.units) if self.return_sequences else last
        states = [(batch_size, size) for size in self.state_size]
        return (outputs, *states) if self.return_state else outputs

    def compute_output_spec(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        seed=None,
        time_major=False,
        lengths=None,
        implementation="auto",
    ):
        shapes = self.compute_output_shape(sequences.shape, time_major=time_major)
        if not self.return_state:
            return keras.KerasTensor(shapes, dtype=self.compute_dtype)
        dtypes = (self.compute_dtype, *[self.state_dtype] * len(self.state_names))
        return tuple(
            keras.KerasTensor(shape, dtype=dtype)
            for shape, dtype in zip(shapes, dtypes, strict=True)
        )

    def get_config(self):
        return {**super().get_config(), "weight_dropout": self.weight_dropout}
