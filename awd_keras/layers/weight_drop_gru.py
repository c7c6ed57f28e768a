"""The weight-dropped GRU: DropConnect on the recurrent matrix of a GRU."""

import keras
import tensorflow as tf

from awd_keras.layers.weight_drop_rnn import WeightDropRNN
from awd_keras.ops.gru import gru


@keras.saving.register_keras_serializable(package="awd_keras")
class WeightDropGRU(WeightDropRNN, keras.layers.GRU):
    """A `keras.layers.GRU` that drops entries of its recurrent matrix during training.

    Masks, supported arguments and kernels are as for `WeightDropLSTM`. The layer also falls back to
    Keras's own loop with `reset_after=False`.

    Args:
        units: Positive integer, dimensionality of the output.
        weight_dropout: Float in the range `[0, 1)`, the probability of dropping an entry of the
            recurrent matrix. Defaults to 0.
        **kwargs: All other arguments of `keras.layers.GRU`, by keyword. `seed` also determines the
            masks of weight dropout in calls without `seed`.

    Call arguments:
        sequences, mask, training, seed, time_major, lengths, implementation: As for
            `WeightDropLSTM`.
        initial_state: `h` or `[h]`, a tensor of shape `(batch_size, units)`. Defaults to `None`:
            zeros, or the last state if the layer is stateful.

    Returns:
        As for `keras.layers.GRU`, except that the state is float32 even under mixed precision
        (float64 in float64).

    Raises:
        ValueError: If `weight_dropout` is not in the range `[0, 1)`.

    Example:

    >>> layer = WeightDropGRU(5, weight_dropout=0.5, return_sequences=True)
    >>> layer(tf.ones((2, 3, 4)), training=True).shape
    TensorShape([2, 3, 5])
    """

    def is_standard(self):
        return super().is_standard() and self.reset_after

    def run(self, sequences, initial_state, matrix, seed, implementation, **options):
        kernel, bias = (tf.convert_to_tensor(w) for w in (self.cell.kernel, self.cell.bias))
        options["implementation"] = implementation.partition("/")[0]  # forms are those of LSTMs
        return gru(sequences, *initial_state, kernel, matrix, bias, **options)

    def get_config(self):
        # Keras's own configuration lacks these two.
        return {
            **super().get_config(),
            "use_cudnn": self.use_cudnn,
            "implementation": self.cell.implementation,
        }
