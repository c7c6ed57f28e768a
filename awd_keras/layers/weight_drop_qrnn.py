"""The weight-dropped QRNN, a recurrent layer without a recurrent matrix."""

import operator

import keras
import tensorflow as tf

from awd_keras.layers.stochastic_layer import validated_rate
from awd_keras.layers.weight_drop_rnn import WeightDropRNN
from awd_keras.ops.qrnn import qrnn
from awd_keras.ops.random import fold_in

_IMPLEMENTATIONS = {"auto": "auto", "portable": "loop", "xla": "loop", "cudnn": "scan"}
_ZONEOUT = 1  # folded into the seed, whose own mask is that of the weights


class _Cell(keras.layers.Layer):
    """The weights of a QRNN."""

    def __init__(self, units, window, output_gate, initializers, seed, dtype):
        super().__init__(name="qrnn_cell", dtype=dtype)
        self.units = units
        self.state_size = [units] * window  # the layer replaces the size of x
        self.initializers = initializers
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._num_columns = (3 if output_gate else 2) * units

    def build(self, input_shape):
        rows = len(self.state_size) * input_shape[-1]
        shapes = {"kernel": (rows, self._num_columns), "bias": (self._num_columns,)}
        for name, shape in shapes.items():
            initializer = self.initializers[name]
            setattr(self, name, self.add_weight(shape=shape, initializer=initializer, name=name))

    def get_config(self):
        return {}  # the layer creates its cell


@keras.saving.register_keras_serializable(package="awd_keras")
class WeightDropQRNN(WeightDropRNN, keras.layers.RNN):
    """A quasi-recurrent layer (Bradbury et al., 2016) that drops entries of its matrix.

    All products with the matrix are computed for all time steps at once, and the recurrence is
    element-wise: the layer is faster than an LSTM, especially on GPUs. See `ops.qrnn` for the
    equations. The conventions are those of the authors' `pytorch-qrnn`, in which the forget gate
    multiplies the candidate.

    Each training call draws one mask over the entries of `kernel`, which all time steps and all
    rows of the batch share. Entries that are kept are scaled by `1 / (1 - weight_dropout)`.

    Args:
        units: Positive integer, dimensionality of the output.
        window: 1 or 2, the number of inputs that a step sees: the current one, or also the previous
            one. Defaults to 1.
        weight_dropout: Float in the range `[0, 1)`, the probability of dropping an entry of
            `kernel`. Defaults to 0.
        zoneout: Float in the range `[0, 1)`, the probability that an entry of the state keeps its
            value at a step. Defaults to 0.
        output_gate: Whether the outputs are gated; otherwise, they are the states. Defaults to
            True.
        return_sequences: Whether to return the outputs of all time steps instead of the last one.
            Defaults to False.
        return_state: Whether to return the states after the output. Defaults to False.
        seed: Integer or `None` (the default), the seed of the masks of calls without `seed`.
        kernel_initializer: Initializer of `kernel`, of shape `(window * features, 3 * units)`, with
            the columns z, f, o (without o if there is no output gate), and the rows of the current
            input before those of the previous one. Defaults to `"glorot_uniform"`.
        bias_initializer: Initializer of `bias`, of shape `(3 * units,)`. Defaults to `"zeros"`.
        **kwargs: Arguments of `keras.layers.RNN`: `go_backwards`, `stateful`,
            `zero_output_for_mask`, `name` and `dtype`.

    Call arguments:
        sequences, mask, training, seed, time_major, lengths: As for `WeightDropLSTM`.
        initial_state: `[c]`, or for a window of 2 `[c, x]`: tensors of shape `(batch_size, units)`
            and `(batch_size, features)`, where `x` is the input before the first. Defaults to
            `None`: zeros, or the last state if the layer is stateful.

    Returns:
        As for `keras.layers.LSTM`, with these states, in float32 even under mixed precision
        (float64 in float64).

    Raises:
        ValueError: If a rate is not in the range `[0, 1)`, or `window` is neither 1 nor 2.

    Example:

    >>> layer = WeightDropQRNN(5, window=2, weight_dropout=0.1, return_state=True)
    >>> output, c, x = layer(tf.ones((2, 3, 4)), training=True)
    >>> output.shape, c.shape, x.shape
    (TensorShape([2, 5]), TensorShape([2, 5]), TensorShape([2, 4]))
    """

    dropped_weight = "kernel"
    dropout = recurrent_dropout = 0.0

    def __init__(
        self,
        units,
        window=1,
        weight_dropout=0.0,
        zoneout=0.0,
        output_gate=True,
        return_sequences=False,
        return_state=False,
        seed=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        if window not in (1, 2):
            raise ValueError(f"`window` must be 1 or 2. Received: window={window!r}")
        initializers = {
            "kernel": keras.initializers.get(kernel_initializer),
            "bias": keras.initializers.get(bias_initializer),
        }
        cell = _Cell(
            operator.index(units), window, output_gate, initializers, seed, kwargs.get("dtype")
        )
        arguments = {"return_sequences": return_sequences, "return_state": return_state}
        keras.layers.RNN.__init__(self, cell, **arguments, **kwargs)
        self.window = window
        self.zoneout = validated_rate("zoneout", zoneout)
        self.output_gate = output_gate
        self.seed = seed
        self.state_names = ("c", "x")[:window]
        self.set_up(weight_dropout)
        if self.zoneout > 0:
            self.seed_generator = cell.seed_generator

    @property
    def units(self):
        return self.cell.units

    @property
    def kernel(self):
        return self.cell.kernel

    @property
    def bias(self):
        return self.cell.bias

    def build(self, sequences_shape, initial_state_shape=None):
        self.state_size = [self.units, sequences_shape[-1]][: self.window]
        super().build(sequences_shape, initial_state_shape)

    def is_standard(self):
        return True

    def run(self, sequences, initial_state, matrix, seed, training, implementation, **options):
        if training and self.zoneout > 0:
            options["zoneout_seed"] = fold_in(self.mask_seed(seed), _ZONEOUT)
        return qrnn(
            sequences,
            initial_state[0],
            matrix,
            tf.convert_to_tensor(self.cell.bias),
            initial_x=initial_state[1] if self.window == 2 else None,
            output_gate=self.output_gate,
            zoneout=self.zoneout,
            implementation=_IMPLEMENTATIONS[implementation.partition("/")[0]],
            **options,
        )

    def get_config(self):
        config = super().get_config()
        del config["cell"], config["unroll"]
        return {
            **config,
            "units": self.units,
            "window": self.window,
            "zoneout": self.zoneout,
            "output_gate": self.output_gate,
            "seed": self.seed,
            **{
                f"{name}_initializer": keras.initializers.serialize(initializer)
                for name, initializer in self.cell.initializers.items()
            },
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)
