"""A stand-in for cuDNN's LSTM on machines without a GPU: the same interface in plain TensorFlow.

It accepts what the operation accepts, and fails where cuDNN would.
"""

import tensorflow as tf


def unpack_parameters(parameters, features, units):
    """Returns the kernel, the recurrent kernel and the bias of a packed vector."""
    sizes = 4 * [features * units] + 4 * [units * units] + [4 * units, 4 * units]
    *matrices, zeros, bias = tf.split(parameters, sizes)
    tf.debugging.assert_equal(zeros, tf.zeros_like(zeros))
    matrices = [tf.transpose(tf.reshape(matrix, (units, -1))) for matrix in matrices]
    return tf.concat(matrices[:4], axis=1), tf.concat(matrices[4:], axis=1), bias


@tf.custom_gradient
def _without_gradient_of_padding(inputs, is_real):
    """Identity whose gradient is NaN for padded inputs, where cuDNN's is uninitialized."""
    return inputs, lambda upstream: (
        tf.where(is_real, upstream, tf.constant(float("nan"), upstream.dtype)),
        None,
    )


def cudnn_rnn_v3(
    input, input_h, input_c, params, sequence_lengths, rnn_mode, is_training, time_major
):
    """Computes `tf.raw_ops.CudnnRNNV3` for one LSTM."""
    assert rnn_mode == "lstm"
    # Not bfloat16, in which the operation loses its reserve space.
    assert input.dtype in (tf.float16, tf.float32, tf.float64)
    assert input.dtype == input_h.dtype == input_c.dtype == params.dtype
    assert sequence_lengths.dtype == tf.int32
    timesteps = tf.shape(input)[0 if time_major else 1]
    checks = [
        tf.debugging.assert_less_equal(sequence_lengths, timesteps),
        tf.debugging.assert_greater_equal(sequence_lengths, 1),
    ]
    if time_major:  # a kernel that has seen full rows fails on padded ones
        checks.append(tf.debugging.assert_equal(sequence_lengths, timesteps))
    with tf.control_dependencies([check for check in checks if check is not None]):
        inputs = input if time_major else tf.transpose(input, (1, 0, 2))
    axis = 0 if time_major else 1
    initial = tf.squeeze(input_h, axis), tf.squeeze(input_c, axis)
    kernel, recurrent_kernel, bias = unpack_parameters(params, inputs.shape[2], input_h.shape[2])
    is_real = (tf.range(timesteps)[:, tf.newaxis] < sequence_lengths)[..., tf.newaxis]
    inputs = _without_gradient_of_padding(inputs, is_real)

    def step(state, elements):
        (h, c), (x, real) = state, elements
        i, f, g, o = tf.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        new_c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.where(real, tf.sigmoid(o) * tf.tanh(new_c), h), tf.where(real, new_c, c)

    all_h, all_c = tf.scan(step, (inputs, is_real), initial)
    outputs = tf.where(is_real, all_h, tf.zeros_like(all_h))
    results = [
        outputs if time_major else tf.transpose(outputs, (1, 0, 2)),
        tf.expand_dims(all_h[-1], axis),
        tf.expand_dims(all_c[-1], axis),
    ]
    if not is_training:  # without reserve space there is no gradient
        results = [tf.stop_gradient(result) for result in results]
    return *results, tf.zeros((0,), input.dtype), tf.zeros((0,), tf.int8)
