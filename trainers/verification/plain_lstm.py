"""The LSTM as its equations say it: slow, and easy to believe."""

import tensorflow as tf


def plain_lstm(inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths=None):
    """One step after another, for autodiff to differentiate.

    Args:
        inputs: tensor (batch_size, timesteps, features), of known `timesteps`.
        initial_h, initial_c: tensors (batch_size, units).
        kernel: tensor (features, 4 * units), gates in the order i, f, c, o.
        recurrent_kernel: tensor (units, 4 * units).
        bias: tensor (4 * units,).
        lengths: None, or integer tensor (batch_size,): beyond its length a row stands still.

    Returns:
        `(outputs, final_h, final_c)`: (batch_size, timesteps, units), twice (batch_size, units).

    Example:

    >>> zeros = tf.zeros((1, 2))
    >>> outputs, h, c = plain_lstm(tf.ones((1, 3, 4)), zeros, zeros, tf.zeros((4, 8)),
    ...                            tf.zeros((2, 8)), tf.zeros(8), lengths=tf.constant([2]))
    >>> outputs.shape
    TensorShape([1, 3, 2])
    """
    hidden, cell, outputs = initial_h, initial_c, []
    for step in range(inputs.shape[1]):
        gates = inputs[:, step] @ kernel + hidden @ recurrent_kernel + bias
        input_gate, forget_gate, candidate, output_gate = tf.split(gates, 4, axis=-1)
        new_cell = tf.sigmoid(forget_gate) * cell + tf.sigmoid(input_gate) * tf.tanh(candidate)
        new_hidden = tf.sigmoid(output_gate) * tf.tanh(new_cell)
        if lengths is None:
            hidden, cell = new_hidden, new_cell
        else:
            is_real = (step < lengths)[:, tf.newaxis]
            hidden = tf.where(is_real, new_hidden, hidden)
            cell = tf.where(is_real, new_cell, cell)
        outputs.append(hidden)
    return tf.stack(outputs, axis=1), hidden, cell
