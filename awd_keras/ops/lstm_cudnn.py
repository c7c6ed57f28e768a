"""cuDNN's LSTM and GRU, with the weights as arguments.

`keras.layers.LSTM` calls the same operation, but only with its own variables. Here the recurrent
matrix is an argument, so it can be masked.

The operation is `CudnnRNNV3`, which takes the length of each row. (With cuDNN 9, the two older
operations fail with "Sequence lengths for RNN are required".) Its pitfalls, most of them found in
its source, and how this module avoids them:

- Only a training call creates the reserve space that the gradient reads. Inference is a separate
  call.
- In bfloat16, it casts to float32 and back, and loses the reserve space. This module casts
  instead, which also keeps the states from being rounded.
- It caches its setup per input shape. With time-major inputs, the setup depends on whether the
  first rows were padded. Padded rows are therefore passed batch-major.
- It does not accept rows of length 0. Such a row runs one step, and the result is discarded.
- The gradient with respect to padded inputs is uninitialized memory (observed in float64), so it
  is masked.
"""

import tensorflow as tf


def pack_parameters(kernel, recurrent_kernel, bias):
    """Packs the weights of an LSTM into the single vector that cuDNN takes.

    The vector consists of the matrix of each gate, transposed and flattened (first the input
    matrices, then the recurrent ones), and two biases per gate, the first of which is zero here.
    The gates are in Keras's order.
    """
    # Gates are blocks of columns, so transposing the whole matrix transposes and orders them.
    flat = [tf.reshape(tf.transpose(matrix), (-1,)) for matrix in (kernel, recurrent_kernel)]
    return tf.concat([*flat, tf.zeros_like(bias), bias], axis=0)


def lstm_cudnn(
    inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths, training=True
):
    """Runs cuDNN's LSTM over a time-major sequence; the interface matches `lstm_portable`."""
    parameters = pack_parameters(kernel, recurrent_kernel, bias)
    return cudnn_rnn("lstm", inputs, [initial_h, initial_c], parameters, lengths, training)


def cudnn_rnn(mode, inputs, initial_states, parameters, lengths, training):
    """Runs a layer of cuDNN, `"lstm"` or `"gru"`, over a time-major sequence.

    Returns the outputs, in the dtype of the inputs, and the final states, in that of the initial
    ones.
    """
    dtype = tf.float32 if inputs.dtype == tf.bfloat16 else inputs.dtype
    arguments = [tf.cast(a, dtype) for a in (inputs, parameters, *initial_states)]
    if lengths is not None:
        is_padding = (tf.range(tf.shape(inputs)[0])[:, tf.newaxis] >= lengths)[..., tf.newaxis]
        # Also stops the gradient with respect to padding.
        arguments[0] = tf.where(is_padding, tf.zeros((), dtype), arguments[0])
    run = _cudnn if training else _inference
    outputs, *states = run(mode, lengths, *arguments)
    states = [tf.cast(new, old.dtype) for new, old in zip(states, initial_states, strict=True)]
    if lengths is not None:
        is_empty = (lengths == 0)[:, tf.newaxis]
        pairs = zip(states, initial_states, strict=True)
        states = [tf.where(is_empty, old, new) for new, old in pairs]
    return tf.cast(outputs, inputs.dtype), *states


def _cudnn(mode, lengths, inputs, parameters, *states, is_training=True):
    """Calls the operation. It outputs zeros for padded steps, and inference has no gradient."""
    time_major = lengths is None
    if time_major:
        timesteps, batch_size = tf.unstack(tf.shape(inputs)[:2])
        lengths = tf.fill((batch_size,), timesteps)
    else:
        inputs = tf.transpose(inputs, (1, 0, 2))
    layer_axis = 0 if time_major else 1
    states = [tf.expand_dims(state, layer_axis) for state in states]
    outputs, *finals = tf.raw_ops.CudnnRNNV3(
        input=inputs,
        input_h=states[0],
        input_c=states[1] if mode == "lstm" else tf.zeros((), inputs.dtype),
        params=parameters,
        sequence_lengths=tf.maximum(lengths, 1),
        rnn_mode=mode,
        is_training=is_training,
        time_major=time_major,
    )[:3]
    if not time_major:
        outputs = tf.transpose(outputs, (1, 0, 2))
    return outputs, *(tf.squeeze(final, layer_axis) for final in finals[: len(states)])


def _inference(mode, lengths, *tensors):
    """Calls `_cudnn` without reserve space; taking the gradient calls it again."""

    @tf.custom_gradient
    def run(*tensors):
        def gradient(*upstream):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                results = _cudnn(mode, lengths, *tensors)
            return tape.gradient(results, tensors, upstream)

        return _cudnn(mode, lengths, *tensors, is_training=False), gradient

    return run(*tensors)
