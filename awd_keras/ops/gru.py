"""One GRU layer over a sequence, with the weights as arguments.

    x = inputs[t] @ kernel + bias[0]                   (batch_size, 3 * units)
    y = h[t-1] @ recurrent_kernel + bias[1]
    z, r = sigmoid(x_z + y_z), sigmoid(x_r + y_r)      gates in Keras's order
    g = tanh(x_h + r * y_h)
    h[t] = z * h[t-1] + (1 - z) * g

This is Keras's GRU with `reset_after=True`, and cuDNN's. The portable kernel has the structure of
`lstm_portable`: the backward loop computes only `dy[t]` and `dy[t] @ recurrent_kernel^T`, and the
gradients of the matrices take one matmul each, over all time steps, after the loop.
"""

import tensorflow as tf

from awd_keras.ops.lstm import exporting, use_cudnn
from awd_keras.ops.lstm_cudnn import cudnn_rnn
from awd_keras.ops.sequences import run_time_major

# A pre-activation that fully saturates a sigmoid in every dtype.
_SATURATED = 1e4


def gru(
    inputs,
    initial_h,
    kernel,
    recurrent_kernel,
    bias,
    *,
    mask=None,
    lengths=None,
    time_major=False,
    implementation="auto",
    training=True,
):
    """Runs a GRU over a sequence.

    Args:
        inputs: Tensor of shape `(batch_size, timesteps, features)`, or
            `(timesteps, batch_size, features)` if `time_major`.
        initial_h: Tensor of shape `(batch_size, units)`.
        kernel: Tensor of shape `(features, 3 * units)`, gates in the order z, r, h.
        recurrent_kernel: Tensor of shape `(units, 3 * units)`.
        bias: Tensor of shape `(2, 3 * units)`, the biases of the two products.
        mask, lengths, time_major: As in `ops.lstm`.
        implementation: As in `ops.lstm`. `"xla"` is the portable kernel.
        training: As in `ops.lstm`. The portable kernel keeps the values in any case.

    Returns:
        `(outputs, final_h)`, with the shapes and dtypes of `ops.lstm`.

    Raises:
        ValueError: If `implementation` is unknown, or `"cudnn"` without a GPU.

    Example:

    >>> x, zeros = tf.ones((2, 3, 4)), tf.zeros((2, 5))
    >>> y, h = gru(x, zeros, tf.ones((4, 15)), tf.ones((5, 15)), tf.zeros((2, 15)))
    >>> y.shape, h.shape
    (TensorShape([2, 3, 5]), TensorShape([2, 5]))
    """
    inputs = tf.convert_to_tensor(inputs)
    dtype = inputs.dtype
    initial_h = tf.cast(initial_h, tf.float64 if dtype == tf.float64 else tf.float32)
    kernel, recurrent_kernel, bias = (tf.cast(x, dtype) for x in (kernel, recurrent_kernel, bias))
    is_cudnn = implementation != "xla" and use_cudnn(implementation)

    def run(inputs, lengths):
        if is_cudnn:
            parameters = _cudnn_parameters(kernel, recurrent_kernel, bias)
            return cudnn_rnn("gru", inputs, [initial_h], parameters, lengths, training)
        return _portable(inputs, initial_h, kernel, recurrent_kernel, bias, lengths)

    return run_time_major(run, inputs, mask, lengths, time_major)


def _cudnn_parameters(kernel, recurrent_kernel, bias):
    """Packs weights as `lstm_cudnn` does, in cuDNN's order r, z, h."""
    swapped = []
    for weight in (kernel, recurrent_kernel, bias):
        z, r, h = tf.split(weight, 3, axis=-1)
        swapped.append(tf.concat([r, z, h], axis=-1))
    *matrices, bias = swapped
    flat = [tf.reshape(tf.transpose(matrix), (-1,)) for matrix in matrices]
    return tf.concat([*flat, tf.reshape(bias, (-1,))], axis=0)


def _portable(inputs, initial_h, kernel, recurrent_kernel, bias, lengths):
    features, units = kernel.shape[0], recurrent_kernel.shape[0]
    timesteps, batch_size = tf.unstack(tf.shape(inputs)[:2])
    x = tf.nn.bias_add(tf.matmul(tf.reshape(inputs, (-1, features)), kernel), bias[0])
    x = tf.reshape(x, (timesteps, batch_size, 3 * units))
    # Loop variables must keep their static shapes, so all get the most specific one.
    static_batch = inputs.shape[1] or initial_h.shape[0]
    x.set_shape((inputs.shape[0], static_batch, 3 * units))
    initial_h.set_shape((static_batch, units))
    if lengths is not None:  # z = 1 keeps the state
        is_padding = (tf.range(timesteps)[:, tf.newaxis] >= lengths)[..., tf.newaxis]
        direction = tf.concat([tf.ones(units, x.dtype), tf.zeros(2 * units, x.dtype)], axis=0)
        x += tf.cast(is_padding, x.dtype) * direction * _SATURATED
    arguments = x, initial_h, recurrent_kernel, bias[1]
    # Loading a SavedModel with custom gradients logs warnings.
    h = _forward(*arguments)[0] if exporting() else _differentiable(*arguments)
    return tf.cast(h, inputs.dtype), h[-1]


@tf.custom_gradient
def _differentiable(x, initial_h, recurrent_kernel, bias):
    h, factors = _forward(x, initial_h, recurrent_kernel, bias, keep_factors=True)

    def gradient(d_outputs):
        dtype, units = x.dtype, initial_h.shape[1]
        transposed = tf.transpose(recurrent_kernel)

        def step(t, dh, dy_array, dg_array):
            through_y, through_g, z = (array.read(t) for array in factors)
            dh = dh + d_outputs[t]
            dy = tf.cast(tf.tile(dh, (1, 3)) * through_y, dtype)
            dg_array = dg_array.write(t, tf.cast(dh * through_g, dtype))
            dh = dh * z + tf.cast(tf.matmul(dy, transposed), dh.dtype)
            return t - 1, dh, dy_array.write(t, dy), dg_array

        _, d_initial_h, dy, dg = tf.while_loop(
            lambda t, *_: t >= 0,
            step,
            (
                tf.shape(x)[0] - 1,
                tf.zeros_like(d_outputs[0]),
                _array(x, dtype, 3),
                _array(x, dtype, 1),
            ),
            parallel_iterations=1,
        )
        dy, dg = dy.stack(), dg.stack()
        flat_dy = tf.reshape(dy, (-1, 3 * units))
        previous_h = tf.concat([initial_h[tf.newaxis], h[:-1]], axis=0)
        previous_h = tf.reshape(tf.cast(previous_h, dtype), (-1, units))
        d_recurrent_kernel = tf.matmul(previous_h, flat_dy, transpose_a=True)
        dx = tf.concat([dy[..., : 2 * units], dg], axis=2)
        d_bias = tf.cast(tf.reduce_sum(tf.cast(flat_dy, h.dtype), axis=0), dtype)
        return dx, d_initial_h, d_recurrent_kernel, d_bias

    return h, gradient


def _forward(x, initial_h, recurrent_kernel, bias, keep_factors=False):
    """Returns `h` of all time steps, and TensorArrays of the factors of the backward pass.

    With `dh` the gradient of `h[t]`, `dy[t] = [dh, dh, dh] * through_y[t]`, and that of the
    pre-activation of `g` is `dh * through_g[t]`.
    """

    def cell(x, h):
        y = tf.nn.bias_add(tf.matmul(tf.cast(h, x.dtype), recurrent_kernel), bias)
        x_z, x_r, x_h = tf.split(tf.cast(x, h.dtype), 3, axis=1)
        y_z, y_r, y_h = tf.split(tf.cast(y, h.dtype), 3, axis=1)
        z, r = tf.sigmoid(x_z + y_z), tf.sigmoid(x_r + y_r)
        g = tf.tanh(x_h + r * y_h)
        previous_h, h = h, z * h + (1.0 - z) * g
        if not keep_factors:
            return h, ()
        through_g = (1.0 - z) * (1.0 - g * g)
        through_r = through_g * y_h * r * (1.0 - r)
        through_z = (previous_h - g) * z * (1.0 - z)
        return h, (tf.concat([through_z, through_r, through_g * r], axis=1), through_g, z)

    if x.shape[0] == 1 and not keep_factors:
        return cell(x[0], initial_h)[0][tf.newaxis], []

    def step(t, h, *arrays):
        h, factors = cell(x[t], h)
        arrays = [array.write(t, v) for array, v in zip(arrays, (h, *factors), strict=True)]
        return t + 1, h, *arrays

    timesteps = tf.shape(x)[0]
    _, _, h, *factors = tf.while_loop(
        lambda t, *_: t < timesteps,
        step,
        (
            tf.constant(0),
            initial_h,
            *(_array(x, initial_h.dtype, n) for n in ((1, 3, 1, 1) if keep_factors else (1,))),
        ),
        parallel_iterations=1,
    )
    return h.stack(), factors


def _array(x, dtype, num_gates):
    shape = (x.shape[1], x.shape[2] // 3 * num_gates)
    return tf.TensorArray(dtype, tf.shape(x)[0], element_shape=shape, clear_after_read=False)
