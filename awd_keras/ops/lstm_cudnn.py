"""The LSTM of cuDNN, with the weights as plain tensors.

`keras.layers.LSTM` reaches the same operation, but only through its own variables and never with
recurrent dropout. Here the recurrent matrix is an argument: masked or not, cuDNN cannot tell.
"""

import tensorflow as tf


def pack_parameters(kernel, recurrent_kernel, bias):
    """Packs the weights of an LSTM into cuDNN's single vector.

    cuDNN wants each gate's matrix transposed and flattened, inputs first, then the recurrent
    ones, then two biases for each gate, of which we use the second.

    Args:
        kernel: tensor (features, 4 * units), gates i, f, c, o: cuDNN's order as well.
        recurrent_kernel: tensor (units, 4 * units).
        bias: tensor (4 * units,).

    Returns:
        tensor (4 * units * (features + units + 2),).
    """
    matrices = tf.split(kernel, 4, axis=1) + tf.split(recurrent_kernel, 4, axis=1)
    flat = [tf.reshape(tf.transpose(matrix), (-1,)) for matrix in matrices]
    return tf.concat([*flat, tf.zeros_like(bias), bias], axis=0)


def lstm_cudnn(inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths):
    """Runs cuDNN's LSTM. Time-major; arguments and results as in `lstm_portable`."""
    timesteps, batch_size = tf.unstack(tf.shape(inputs)[:2])
    if lengths is None:
        sequence_lengths = tf.fill((batch_size,), timesteps)
    else:
        sequence_lengths = tf.cast(lengths, tf.int32)
    outputs, final_h, final_c, _, _ = tf.raw_ops.CudnnRNNV3(
        input=inputs,
        input_h=tf.cast(initial_h, inputs.dtype)[tf.newaxis],
        input_c=tf.cast(initial_c, inputs.dtype)[tf.newaxis],
        params=pack_parameters(kernel, recurrent_kernel, bias),
        sequence_lengths=sequence_lengths,
        rnn_mode="lstm",
        # The gradient needs the reserve space that only a training call leaves.
        is_training=True,
        time_major=True,
    )
    return (
        outputs,
        tf.cast(final_h[0], initial_h.dtype),
        tf.cast(final_c[0], initial_c.dtype),
    )
