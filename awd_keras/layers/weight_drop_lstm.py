"""The weight-dropped LSTM: DropConnect on the recurrent matrix (section 2 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from awd_keras.ops.lstm import lstm
from awd_keras.ops.random import dropout_mask

# Arguments of keras.layers.LSTM that would change what cuDNN computes: what to do instead.
_REFUSED = {
    "activation": ("tanh", "Only tanh has a cuDNN kernel; use keras.layers.LSTM for another."),
    "recurrent_activation": (
        "sigmoid",
        "Only sigmoid has a cuDNN kernel; use keras.layers.LSTM for another.",
    ),
    "use_bias": (True, "cuDNN always adds a bias; use bias_initializer='zeros'."),
    "dropout": (0.0, "Put a LockedDropout layer before this one."),
    "recurrent_dropout": (
        0.0,
        "It drops units of the state and excludes cuDNN; use weight_dropout, which drops entries "
        "of the recurrent matrix.",
    ),
    "stateful": (False, "Pass initial_state and take the states with return_state=True."),
    "unroll": (False, "The loop is a graph of its own; leave the argument out."),
    "go_backwards": (False, "Reverse the input along time."),
}


@keras.saving.register_keras_serializable(package="awd_keras")
class WeightDropLSTM(StochasticLayer):
    """An LSTM that drops entries of its recurrent matrix in training.

    One mask over the entries of `recurrent_kernel` for each call: the same at every time step and
    for every row, survivors scaled by `1 / (1 - weight_dropout)`, none without training. Because
    only the matrix changes, the LSTM of cuDNN serves. With `weight_dropout=0` the layer equals
    `keras.layers.LSTM`, and `get_weights` / `set_weights` carry weights between the two. (Not to
    be confused with Keras's `recurrent_dropout`, which drops units of the state.)

    Args:
        units: size of the state.
        weight_dropout: float in [0, 1), the probability of dropping an entry of the recurrent
            matrix (the authors' `wdrop`; 0.5 in the paper).
        kernel_initializer, recurrent_initializer, bias_initializer, unit_forget_bias,
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, recurrent_constraint, bias_constraint: as in `keras.layers.LSTM`, with
            its defaults.
        return_sequences: whether to return the output of every time step or of the last one.
        return_state: whether to return the final `h` and `c` too.
        seed: None or int, for `fit`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: tensor (batch_size, timesteps, features).
        initial_state: None for zeros, or `[h, c]`, each (batch_size, units).
        mask: None or boolean tensor (batch_size, timesteps), padded on the right only.
        training: whether to drop.
        seed: None or an int32 tensor (2,): the mask is a pure function of it.
        time_major: whether inputs and outputs have time first, as `ops.lstm` runs over them.

    Returns:
        outputs (batch_size, timesteps, units), or (batch_size, units) without `return_sequences`;
        with `return_state` a list of outputs, `h` and `c`, the states in float32 (float64 in
        float64): they keep their digits when carried over many windows.

    Raises:
        ValueError: for a rate outside [0, 1), `units` below 1, or an argument that no cuDNN kernel
            can honour; the message names the alternative.

    Example:

    >>> layer = WeightDropLSTM(5, weight_dropout=0.5, return_sequences=True)
    >>> layer(tf.ones((2, 3, 4)), training=True).shape
    TensorShape([2, 3, 5])
    """

    def __init__(
        self,
        units,
        weight_dropout=0.0,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        return_sequences=False,
        return_state=False,
        seed=None,
        **kwargs,
    ):
        for name, (only, instead) in _REFUSED.items():
            value = kwargs.pop(name, only)
            if value != only:
                raise ValueError(
                    f"WeightDropLSTM takes {name}={only!r} only. {instead} "
                    f"Received: {name}={value!r}"
                )
        # States are float32 in every policy: nothing may cast them on the way in.
        super().__init__(
            seed=seed, autocast=False, activity_regularizer=activity_regularizer, **kwargs
        )
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            raise ValueError(f"`units` must be a positive integer. Received: units={units!r}")
        self.supports_jit = False  # XLA has no cuDNN; `fit` would take it wherever a GPU is
        self.units = units
        self.weight_dropout = validated_rate("weight_dropout", weight_dropout)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.recurrent_constraint = keras.constraints.get(recurrent_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.state_size = [units, units]
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, inputs_shape, initial_state_shape=None, mask_shape=None):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(inputs_shape[-1], 4 * self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, 4 * self.units),
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(4 * self.units,),
            initializer=self._initial_bias,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )
        self.built = True

    def _initial_bias(self, shape, dtype=None):
        bias = self.bias_initializer(shape, dtype=dtype)
        if not self.unit_forget_bias:
            return bias
        i, _, c, o = tf.split(tf.convert_to_tensor(bias), 4)
        return tf.concat([i, tf.ones_like(i), c, o], axis=0)

    def masked_recurrent_kernel(self, seed):
        """The recurrent matrix with entries dropped: a pure function of the matrix and a seed."""
        kernel = tf.cast(tf.convert_to_tensor(self.recurrent_kernel), self.compute_dtype)
        return kernel * dropout_mask(kernel.shape, self.weight_dropout, seed, kernel.dtype)

    def call(
        self, inputs, initial_state=None, mask=None, training=False, seed=None, time_major=False
    ):
        if mask is not None and time_major:
            raise ValueError(
                "WeightDropLSTM takes a mask (batch_size, timesteps) with batch-major inputs only. "
                "Received: time_major=True and a mask."
            )
        inputs = tf.cast(inputs, self.compute_dtype)
        if initial_state is None:
            initial_state = self.initial_state(tf.shape(inputs)[1 if time_major else 0])
        if training and self.weight_dropout > 0:
            recurrent_kernel = self.masked_recurrent_kernel(self.mask_seed(seed))
        else:
            recurrent_kernel = tf.convert_to_tensor(self.recurrent_kernel)
        outputs, h, c = lstm(
            inputs,
            *initial_state,
            tf.convert_to_tensor(self.kernel),
            recurrent_kernel,
            tf.convert_to_tensor(self.bias),
            lengths=None if mask is None else _lengths(mask),
            time_major=time_major,
            training=training,
        )
        if not self.return_sequences:
            outputs = tf.cast(h, outputs.dtype)
        return [outputs, h, c] if self.return_state else outputs

    def initial_state(self, batch_size):
        """Zeros `[h, c]`, each (batch_size, units)."""
        zeros = tf.zeros((batch_size, self.units), self.state_dtype)
        return [zeros, zeros]

    @property
    def state_dtype(self):
        return "float64" if self.compute_dtype == "float64" else "float32"

    def compute_mask(self, inputs, mask=None):
        mask = mask if self.return_sequences else None
        return [mask, None, None] if self.return_state else mask

    def compute_output_shape(self, inputs_shape, initial_state_shape=None, time_major=False):
        state = (inputs_shape[1 if time_major else 0], self.units)
        outputs = (*inputs_shape[:2], self.units) if self.return_sequences else state
        return [outputs, state, state] if self.return_state else outputs

    def compute_output_spec(
        self, inputs, initial_state=None, mask=None, training=False, seed=None, time_major=False
    ):
        shapes = self.compute_output_shape(inputs.shape, time_major=time_major)
        if not self.return_state:
            return keras.KerasTensor(shapes, dtype=self.compute_dtype)
        dtypes = (self.compute_dtype, self.state_dtype, self.state_dtype)
        return [keras.KerasTensor(shape, dtype=d) for shape, d in zip(shapes, dtypes, strict=True)]

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "weight_dropout": self.weight_dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "unit_forget_bias": self.unit_forget_bias,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": keras.regularizers.serialize(self.recurrent_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "recurrent_constraint": keras.constraints.serialize(self.recurrent_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
        }


def _lengths(mask):
    """Lengths of right-padded rows; any other mask stops the program where it runs."""
    mask = tf.cast(mask, tf.bool)
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    expected = tf.sequence_mask(lengths, tf.shape(mask)[1])
    check = tf.debugging.assert_equal(
        mask, expected, message="WeightDropLSTM takes masks padded on the right only."
    )
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(lengths)
