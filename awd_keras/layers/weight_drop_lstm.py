"""The weight-dropped LSTM: DropConnect on the recurrent matrix (section 2 of the paper)."""

import keras
import tensorflow as tf

from awd_keras.layers.weight_drop_rnn import WeightDropRNN
from awd_keras.ops.lstm import lstm


@keras.saving.register_keras_serializable(package="awd_keras")
class WeightDropLSTM(WeightDropRNN, keras.layers.LSTM):
    """A `keras.layers.LSTM` that drops entries of its recurrent matrix during training.

    Each training call draws one mask over the entries of `recurrent_kernel`, which all time steps
    and all rows of the batch share. Entries that are kept are scaled by `1 / (1 - weight_dropout)`.
    (Keras's `recurrent_dropout` is different: it drops units of the state.) With
    `weight_dropout=0`, and at inference, the layer equals `keras.layers.LSTM`, whose weights and
    configurations it can load.

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
            saves transpositions. Defaults to `False`. Stateful layers do not support it.
        implementation, lengths: Arguments of `awd_keras.ops.lstm`. By default, `use_cudnn`
            determines the implementation. `lengths` requires `return_sequences=True` and
            `go_backwards=False`.

    Returns:
        As for `keras.layers.LSTM`, except that states are float32 even under mixed precision
        (float64 in float64), so that they are not rounded from window to window. (A stateful layer
        that is called outside a model rounds its state to half precision, as in Keras.)

    Raises:
        ValueError: If `weight_dropout` is not in the range `[0, 1)`, or `initial_state` is not
            `[h, c]`.

    Example:

    >>> layer = WeightDropLSTM(5, weight_dropout=0.5, return_sequences=True)
    >>> layer(tf.ones((2, 3, 4)), training=True).shape
    TensorShape([2, 3, 5])
    """

    state_names = ("h", "c")

    def run(self, sequences, initial_state, matrix, seed, **options):
        kernel, bias = (tf.convert_to_tensor(w) for w in (self.cell.kernel, self.cell.bias))
        return lstm(sequences, *initial_state, kernel, matrix, bias, **options)

    def get_config(self):
        # Keras's own configuration lacks these two.
        return {
            **super().get_config(),
            "use_cudnn": self.use_cudnn,
            "implementation": self.cell.implementation,
        }
