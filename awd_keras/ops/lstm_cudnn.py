"""The LSTM of cuDNN, with the weights as plain tensors.

`keras.layers.LSTM` reaches the same operation, but only through its own variables and never with
recurrent dropout. Here the recurrent matrix is an argument: masked or not, cuDNN cannot tell.

The operation is `CudnnRNNV3`, which takes the length of each row. TensorFlow has two without, but
since cuDNN 9 they end in "Sequence lengths for RNN are required": full rows have lengths too. What
else it wants, by its source, and a caller need not know:

- Only a training call leaves the reserve space that the gradient reads. Inference is another call.
- In bfloat16 it casts to float32 and back, and loses the reserve space on the way. So we cast: the
  same products, and states that are not rounded.
- A kernel keeps, for each shape, what it set up for the first rows it saw. With time first that
  depends on whether those were padded, with the batch first it does not.
- It takes no row of length 0: such a row runs one step, which is then forgotten.
- Padded steps give zeros, where Keras and the portable loop repeat the row's last output. The
  gradient by their inputs is whatever was in the memory (seen in float64).
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

    Example:

    >>> pack_parameters(tf.zeros((3, 8)), tf.zeros((2, 8)), tf.zeros(8)).shape
    TensorShape([56])
    """
    # The gates are columns here: after one transposition they follow each other, each transposed.
    flat = [tf.reshape(tf.transpose(matrix), (-1,)) for matrix in (kernel, recurrent_kernel)]
    return tf.concat([*flat, tf.zeros_like(bias), bias], axis=0)


def lstm_cudnn(
    inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths, training=True
):
    """Runs cuDNN's LSTM. Time-major; arguments and results as in `lstm_portable`."""
    dtype = tf.float32 if inputs.dtype == tf.bfloat16 else inputs.dtype
    parameters = pack_parameters(kernel, recurrent_kernel, bias)
    arguments = [tf.cast(a, dtype) for a in (inputs, initial_h, initial_c, parameters)]
    if lengths is not None:
        is_padding = (tf.range(tf.shape(inputs)[0])[:, tf.newaxis] >= lengths)[..., tf.newaxis]
        # Also stops the gradient with respect to padding.
        arguments[0] = tf.where(is_padding, tf.zeros((), dtype), arguments[0])
    run = _cudnn if training else _inference
    outputs, final_h, final_c = run(*arguments, lengths)
    outputs = tf.cast(outputs, inputs.dtype)
    final_h, final_c = tf.cast(final_h, initial_h.dtype), tf.cast(final_c, initial_c.dtype)
    if lengths is not None:
        is_empty = (lengths == 0)[:, tf.newaxis]
        final_h = tf.where(is_empty, initial_h, final_h)
        final_c = tf.where(is_empty, initial_c, final_c)
    return outputs, final_h, final_c


def _cudnn(inputs, initial_h, initial_c, parameters, lengths, is_training=True):
    """One call of the operation, all tensors in a dtype that it has: zeros in padded steps.

    Args:
        inputs: tensor (timesteps, batch_size, features).
        initial_h, initial_c: tensors (batch_size, units).
        parameters: the packed weights.
        lengths: None for full rows, or int32 tensor (batch_size,).
        is_training: whether a gradient can be taken.
    """
    time_major = lengths is None
    if time_major:
        timesteps, batch_size = tf.unstack(tf.shape(inputs)[:2])
        lengths = tf.fill((batch_size,), timesteps)
    else:
        inputs = tf.transpose(inputs, (1, 0, 2))
    axis_of_layers = 0 if time_major else 1
    outputs, final_h, final_c, _, _ = tf.raw_ops.CudnnRNNV3(
        input=inputs,
        input_h=tf.expand_dims(initial_h, axis_of_layers),
        input_c=tf.expand_dims(initial_c, axis_of_layers),
        params=parameters,
        sequence_lengths=tf.maximum(lengths, 1),
        rnn_mode="lstm",
        is_training=is_training,
        time_major=time_major,
    )
    if not time_major:
        outputs = tf.transpose(outputs, (1, 0, 2))
    return outputs, tf.squeeze(final_h, axis_of_layers), tf.squeeze(final_c, axis_of_layers)


def _inference(*arguments):
    """`_cudnn` that keeps nothing for a gradient, which runs it once more."""
    *tensors, lengths = arguments

    @tf.custom_gradient
    def run(*tensors):
        def gradient(*upstream):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                results = _cudnn(*tensors, lengths)
            return tape.gradient(results, tensors, upstream)

        return _cudnn(*tensors, lengths, is_training=False), gradient

    return run(*tensors)
