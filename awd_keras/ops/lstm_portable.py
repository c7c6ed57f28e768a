"""The LSTM as TensorFlow loops with a gradient of their own.

Where the time goes, and what is done about it:

- `inputs @ kernel + bias` is one product for all time steps, before the loop.
- The backward loop computes only `dz[t]` and `dz[t] @ recurrent_kernel^T`. The gradients of the
  kernels and the bias come from one product each over all time steps, after the loop; autodiff
  would add a whole matrix at every step.
- The factors of the backward pass are computed for all time steps at once, before its loop.
- The recurrent matrix is transposed once, before the backward loop.

Cell and hidden states are kept in float32 whatever the dtype of the products.
"""

import tensorflow as tf

# Pre-activation that closes or opens a sigmoid gate exactly in every dtype.
_SATURATED = 1e4


def lstm_portable(inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths):
    """Runs an LSTM over a time-major sequence.

    Args:
        inputs: tensor (timesteps, batch_size, features).
        initial_h: tensor (batch_size, units), float32 (float64 for float64 inputs).
        initial_c: tensor (batch_size, units), as `initial_h`.
        kernel: tensor (features, 4 * units), dtype of `inputs`.
        recurrent_kernel: tensor (units, 4 * units), dtype of `inputs`.
        bias: tensor (4 * units,), dtype of `inputs`.
        lengths: None or integer tensor (batch_size,).

    Returns:
        `(outputs, final_h, final_c)`: (timesteps, batch_size, units) in the dtype of `inputs`, and
        twice (batch_size, units) in the dtype of the initial states.
    """
    timesteps, batch_size = tf.unstack(tf.shape(inputs)[:2])
    features, units = kernel.shape[0], recurrent_kernel.shape[0]
    projected = tf.matmul(tf.reshape(inputs, (-1, features)), kernel) + bias
    projected = tf.reshape(projected, (timesteps, batch_size, 4 * units))
    # A loop's variables must keep their static shapes: what one argument knows, all must know.
    known = inputs.shape[1] or initial_h.shape[0] or initial_c.shape[0]
    projected = tf.ensure_shape(projected, (inputs.shape[0], known, 4 * units))
    initial_h = tf.ensure_shape(initial_h, (known, units))
    initial_c = tf.ensure_shape(initial_c, (known, units))
    if lengths is not None:
        projected = _hold_state_after(projected, lengths, units)
    outputs, final_h, final_c = _recurrence(projected, initial_h, initial_c, recurrent_kernel)
    outputs.set_shape((inputs.shape[0], known, units))
    if lengths is not None:
        outputs, final_h = _repeat_last(outputs, initial_h, lengths)
    return outputs, final_h, final_c


@tf.custom_gradient
def _recurrence(projected, initial_h, initial_c, recurrent_kernel):
    """The part of an LSTM that must go step by step.

    Args:
        projected: tensor (timesteps, batch_size, 4 * units): inputs @ kernel + bias.
        initial_h, initial_c: tensors (batch_size, units), float32 or float64.
        recurrent_kernel: tensor (units, 4 * units).

    Returns:
        outputs (timesteps, batch_size, units) in the dtype of `projected`, final_h and final_c.
    """
    dtype, state_dtype = projected.dtype, initial_c.dtype
    timesteps = tf.shape(projected)[0]
    units = recurrent_kernel.shape[0]

    def array(element_dtype, size):
        shape = (initial_c.shape[0], size)
        return tf.TensorArray(element_dtype, timesteps, element_shape=shape)

    def forward_step(t, h, c, gates, cells, outputs):
        z = projected[t] + tf.matmul(h, recurrent_kernel)
        z_i, z_f, z_g, z_o = tf.split(tf.cast(z, state_dtype), 4, axis=1)
        i, f, g, o = tf.sigmoid(z_i), tf.sigmoid(z_f), tf.tanh(z_g), tf.sigmoid(z_o)
        c = f * c + i * g
        h = tf.cast(o * tf.tanh(c), dtype)
        gates = gates.write(t, tf.concat([i, f, g, o], axis=1))
        return t + 1, h, c, gates, cells.write(t, c), outputs.write(t, h)

    _, _, final_c, gates, cells, outputs = tf.while_loop(
        lambda t, *_: t < timesteps,
        forward_step,
        (
            tf.constant(0),
            tf.cast(initial_h, dtype),
            initial_c,
            array(state_dtype, 4 * units),
            array(state_dtype, units),
            array(dtype, units),
        ),
        parallel_iterations=1,
        maximum_iterations=timesteps,
    )
    gates, cells, outputs = gates.stack(), cells.stack(), outputs.stack()
    final_h = tf.cast(outputs[-1], state_dtype)

    def gradient(d_outputs, d_final_h, d_final_c):
        previous_c = tf.concat([initial_c[tf.newaxis], cells[:-1]], axis=0)
        previous_h = tf.concat([tf.cast(initial_h, dtype)[tf.newaxis], outputs[:-1]], axis=0)
        i, f, g, o = tf.split(gates, 4, axis=2)
        tanh_c = tf.tanh(cells)
        # dc[t] += dh[t] * through_h[t];  dz[t] = [dc, dc, dc, dh][t] * factors[t]
        through_h = o * (1.0 - tanh_c * tanh_c)
        factors = tf.concat(
            [g * i * (1.0 - i), previous_c * f * (1.0 - f), i * (1.0 - g * g),
             tanh_c * o * (1.0 - o)],
            axis=2,
        )  # fmt: skip
        transposed_kernel = tf.transpose(recurrent_kernel)
        d_outputs = tf.cast(d_outputs, state_dtype)

        def backward_step(t, dh, dc, dz_array):
            dh = dh + d_outputs[t]
            dc = dc + dh * through_h[t]
            dz = tf.cast(tf.concat([dc, dc, dc, dh], axis=1) * factors[t], dtype)
            dh = tf.cast(tf.matmul(dz, transposed_kernel), state_dtype)
            return t - 1, dh, dc * f[t], dz_array.write(t, dz)

        _, d_initial_h, d_initial_c, dz_array = tf.while_loop(
            lambda t, *_: t >= 0,
            backward_step,
            (timesteps - 1, d_final_h, d_final_c, array(dtype, 4 * units)),
            parallel_iterations=1,
            maximum_iterations=timesteps,
        )
        dz = dz_array.stack()
        d_recurrent_kernel = tf.matmul(
            tf.reshape(previous_h, (-1, units)), tf.reshape(dz, (-1, 4 * units)), transpose_a=True
        )
        return dz, d_initial_h, d_initial_c, d_recurrent_kernel

    return (outputs, final_h, final_c), gradient


def _hold_state_after(projected, lengths, units):
    """Closes the input gate and opens the forget gate of steps beyond a row's length.

    Such a step keeps `c` exactly, and nothing flows back through its gates.
    """
    steps = tf.range(tf.shape(projected)[0])[:, tf.newaxis]
    padded = tf.cast(steps >= tf.cast(lengths, tf.int32), projected.dtype)[..., tf.newaxis]
    ones = tf.ones(units, projected.dtype)
    direction = tf.concat([-ones, ones, 0.0 * ones, 0.0 * ones], axis=0)
    return projected + padded * direction * _SATURATED


def _repeat_last(outputs, initial_h, lengths):
    """Outputs of padded steps repeat the row's last one, as Keras has it; and the final h."""
    lengths = tf.cast(lengths, tf.int32)
    initial = tf.cast(initial_h, outputs.dtype)[tf.newaxis]
    steps = tf.range(1, tf.shape(outputs)[0] + 1)[:, tf.newaxis]
    rows = tf.transpose(tf.minimum(steps, lengths))  # (batch_size, timesteps)
    by_row = tf.transpose(tf.concat([initial, outputs], axis=0), (1, 0, 2))
    repeated = tf.transpose(tf.gather(by_row, rows, batch_dims=1), (1, 0, 2))
    repeated.set_shape(outputs.shape)
    return repeated, tf.cast(repeated[-1], initial_h.dtype)
