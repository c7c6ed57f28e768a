"""The weight-dropped LSTM: DropConnect on the recurrent matrix (section 2 of the paper)."""

import operator

import keras
import tensorflow as tf

from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from awd_keras.ops.lstm import lstm
from awd_keras.ops.random import dropout_mask

_IMPLEMENTATIONS = {"auto": "auto", True: "cudnn", False: "portable"}


@keras.saving.register_keras_serializable(package="awd_keras")
class WeightDropLSTM(StochasticLayer, keras.layers.LSTM):
    """A `keras.layers.LSTM` that drops entries of its recurrent matrix during training.

    Each training call draws one mask over the entries of `recurrent_kernel`, which all time steps
    and all rows of the batch share. Entries that are kept are scaled by `1 / (1 - weight_dropout)`.
    (Keras's `recurrent_dropout` is different: it drops units of the state.) With
    `weight_dropout=0`, and at inference, the layer equals `keras.layers.LSTM`. The two can load
    each other's weights and configurations.

    The fast kernels, including cuDNN's, support weight dropout and any mask. Activations other than
    tanh and sigmoid, `use_bias=False`, `recurrent_dropout`, `unroll` and `implementation=1` fall
    back to Keras's own loop. `compile` ignores `jit_compile=True` for models with this layer,
    because XLA uses neither cuDNN nor oneDNN; `tf.function(jit_compile=True)` works.

    Args:
        units: Positive integer, dimensionality of the output.
        weight_dropout: Float in the range `[0, 1)`, the probability of dropping an entry of the
            recurrent matrix (`wdrop` in the authors' code; 0.5 in the paper). Defaults to 0.
        **kwargs: All other arguments of `keras.layers.LSTM`, by keyword. `seed` also determines
            the masks of weight dropout in calls without `seed`.

    Call arguments:
        sequences: Tensor of shape `(batch_size, timesteps, features)`.
        initial_state: `[h, c]`, tensors of shape `(batch_size, units)`. Defaults to `None`: zeros,
            or the last state if the layer is stateful.
        mask: Boolean tensor of shape `(batch_size, timesteps)`. Steps where it is `False` are
            skipped. Keras passes the mask of an `Embedding` layer only to calls without
            `initial_state` and `seed`.
        training: Whether to apply dropout.
        seed: `None`, or an int32 tensor of shape `(2,)` that determines the mask.
        time_major: Whether time is the first axis of `sequences`, `mask` and the outputs, which
            saves transpositions. Defaults to `False`.
        **options: The arguments `implementation` and `lengths` of `awd_keras.ops.lstm`. By
            default, `use_cudnn` determines the implementation.

    Returns:
        As for `keras.layers.LSTM`, except that states are float32 even under mixed precision
        (float64 in float64), so that they are not rounded from window to window. (A stateful layer
        rounds its state to half precision, as in Keras.)

    Raises:
        ValueError: If `weight_dropout` is not in the range `[0, 1)`, or `initial_state` is not
            `[h, c]`.

    Example:

    >>> layer = WeightDropLSTM(5, weight_dropout=0.5, return_sequences=True)
    >>> layer(tf.ones((2, 3, 4)), training=True).shape
    TensorShape([2, 3, 5])
    """

    def __init__(self, units, weight_dropout=0.0, **kwargs):
        super().__init__(operator.index(units), **kwargs)
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
        """Returns zero states `[h, c]`, each of shape `(batch_size, units)`."""
        zeros = tf.zeros((batch_size, self.units), self.state_dtype)
        return [zeros, zeros]

    def call(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        seed=None,
        time_major=False,
        **options,
    ):
        sequences = tf.cast(sequences, self.compute_dtype)
        if initial_state is None:
            batch_size = tf.shape(sequences)[1 if time_major else 0]
            initial_state = self.states if self.stateful else self.get_initial_state(batch_size)
        if not isinstance(initial_state, (list, tuple)) or len(initial_state) != 2:
            raise ValueError(
                f"`initial_state` must be a list of two tensors, [h, c]. Received: {initial_state}"
            )
        initial_state = [tf.convert_to_tensor(state) for state in initial_state]
        if isinstance(mask, (list, tuple)):
            mask = mask[0]

        # The cell keeps its masks until they are reset.
        self.cell.get_dropout_mask(sequences[0] if time_major else sequences[:, 0])
        self.cell.get_recurrent_dropout_mask(tf.cast(initial_state[0], self.compute_dtype))
        options |= {"seed": seed, "time_major": time_major}
        last_output, outputs, states = self.inner_loop(
            sequences, initial_state, mask, training, **options
        )
        self.cell.reset_dropout_mask()
        self.cell.reset_recurrent_dropout_mask()

        states = [tf.cast(state, self.state_dtype) for state in states]
        if self.stateful:
            for variable, state in zip(self.states, states, strict=True):
                variable.assign(state)
        output = outputs if self.return_sequences else last_output
        return (output, *states) if self.return_state else output

    def inner_loop(
        self, sequences, initial_state, mask, training=False, seed=None, time_major=False, **options
    ):
        recurrent_kernel = tf.convert_to_tensor(self.cell.recurrent_kernel)
        if training and self.weight_dropout > 0:
            recurrent_kernel = tf.cast(recurrent_kernel, self.compute_dtype)
            shape, dtype = recurrent_kernel.shape, recurrent_kernel.dtype
            recurrent_kernel *= dropout_mask(
                shape, self.weight_dropout, self.mask_seed(seed), dtype
            )
        if not self._is_standard():
            if time_major or self.use_cudnn is True:
                raise ValueError(
                    "`time_major=True` and `use_cudnn=True` require tanh and sigmoid activations, "
                    "a bias, no recurrent_dropout, no unroll and implementation=2."
                )
            return self._keras_loop(sequences, initial_state, mask, training, recurrent_kernel)

        time_axis = 0 if time_major else 1
        if training and self.dropout > 0:
            sequences *= tf.expand_dims(self.cell.get_dropout_mask(None), time_axis)
        if mask is not None:
            mask = tf.cast(mask, tf.bool)
        if self.go_backwards:
            sequences = tf.reverse(sequences, [time_axis])
            mask = None if mask is None else tf.reverse(mask, [time_axis])
        outputs, h, c = lstm(
            sequences,
            *initial_state,
            tf.convert_to_tensor(self.cell.kernel),
            recurrent_kernel,
            tf.convert_to_tensor(self.cell.bias),
            mask=mask,
            time_major=time_major,
            training=training,
            **{"implementation": _IMPLEMENTATIONS[self.use_cudnn], **options},
        )
        if mask is not None and self.zero_output_for_mask:
            outputs = tf.where(mask[..., tf.newaxis], outputs, tf.zeros_like(outputs))
        last_output = outputs[-1] if time_major else outputs[:, -1]
        return last_output, outputs, [h, c]

    def _is_standard(self):
        """Whether the layer computes the LSTM of `ops.lstm`."""
        return (
            self.activation == keras.activations.tanh
            and self.recurrent_activation == keras.activations.sigmoid
            and self.use_bias
            and not self.unroll
            # Recurrent dropout sets it to 1, which uses one input dropout mask per gate.
            and self.cell.implementation == 2
        )

    def _keras_loop(self, sequences, initial_state, mask, training, recurrent_kernel):
        values = {weight.name: weight.value for weight in self.cell.weights}
        values["recurrent_kernel"] = recurrent_kernel
        initial_state = [tf.cast(state, self.compute_dtype) for state in initial_state]
        with keras.StatelessScope([(w, values[w.name]) for w in self.cell.weights]):
            # Bypass LSTM's own method, which may choose Keras's kernel for cuDNN.
            return super(keras.layers.LSTM, self).inner_loop(
                sequences, initial_state, mask, training
            )

    def compute_output_shape(self, sequences_shape, initial_state_shape=None, time_major=False):
        state = (sequences_shape[1 if time_major else 0], self.units)
        outputs = (*sequences_shape[:2], self.units) if self.return_sequences else state
        return (outputs, state, state) if self.return_state else outputs

    def compute_output_spec(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=False,
        seed=None,
        time_major=False,
    ):
        shapes = self.compute_output_shape(sequences.shape, time_major=time_major)
        if not self.return_state:
            return keras.KerasTensor(shapes, dtype=self.compute_dtype)
        dtypes = (self.compute_dtype, self.state_dtype, self.state_dtype)
        return tuple(
            keras.KerasTensor(shape, dtype=dtype)
            for shape, dtype in zip(shapes, dtypes, strict=True)
        )

    def get_config(self):
        return {**super().get_config(), "weight_dropout": self.weight_dropout}
