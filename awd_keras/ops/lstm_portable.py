"""The LSTM as TensorFlow loops with a gradient of their own.

Where the time goes, and what is done about it:

- `inputs @ kernel + bias` is one product for all time steps, before the loop.
- The backward loop computes only `dz[t]` and `dz[t] @ recurrent_kernel^T`. The gradients of the
  kernels and the bias come from one product each over all time steps, after the loop; autodiff
  would add a whole matrix at every step.
- The factors of the backward pass are made in the forward loop, from gates that are still in the
  processor's cache, and read one step at a time. Nothing of it is kept for inference.
- The recurrent matrix is transposed once, before the loop that reads it the other way round:
  backwards in float32, forwards in bfloat16, whose products read rows faster than columns.

Cell and hidden states are kept in float32 whatever the dtype of the products.
"""

import tensorflow as tf

# Pre-activation that closes or opens a sigmoid gate exactly in every dtype.
_SATURATED = 1e4


def lstm_portable(
    inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths, training=True
):
    """Runs an LSTM over a time-major sequence.

    Args:
        inputs: tensor (timesteps, batch_size, features).
        initial_h: tensor (batch_size, units), float32 (float64 for float64 inputs).
        initial_c: tensor (batch_size, units), as `initial_h`.
        kernel: tensor (features, 4 * units), dtype of `inputs`.
        recurrent_kernel: tensor (units, 4 * units), dtype of `inputs`.
        bias: tensor (4 * units,), dtype of `inputs`.
        lengths: None or integer tensor (batch_size,).
        training: if False, nothing is kept for the gradient, which then runs the loop again.

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
    outputs, final_h, final_c = _recurrence(
        projected, initial_h, initial_c, recurrent_kernel, training
    )
    outputs.set_shape((inputs.shape[0], known, units))
    if lengths is not None:
        outputs, final_h = _repeat_last(outputs, initial_h, lengths)
    return outputs, final_h, final_c


def _recurrence(projected, initial_h, initial_c, recurrent_kernel, training):
    """The part of an LSTM that must go step by step.

    Args:
        projected: tensor (timesteps, batch_size, 4 * units): inputs @ kernel + bias.
        initial_h, initial_c: tensors (batch_size, units), float32 or float64.
        recurrent_kernel: tensor (units, 4 * units).
        training: if False, nothing is kept for the gradient, which then runs the loop again.

    Returns:
        outputs (timesteps, batch_size, units) in the dtype of `projected`, final_h and final_c.
    """

    @tf.custom_gradient
    def recurrence(*arguments):
        results, factors = _forward_loop(*arguments, keep_factors=training)

        def gradient(*upstream):
            kept = factors if training else _forward_loop(*arguments, keep_factors=True)[1]
            return _backward_loop(*arguments, results[0], kept, upstream)

        return results, gradient

    return recurrence(projected, initial_h, initial_c, recurrent_kernel)


def _array(dtype, timesteps, batch_size, size):
    return tf.TensorArray(
        dtype, timesteps, element_shape=(batch_size, size), clear_after_read=False
    )


def _forward_loop(projected, initial_h, initial_c, recurrent_kernel, keep_factors):
    """Runs the cell over all time steps.

    Returns:
        `(outputs, final_h, final_c)`, and the factors of the backward pass: arrays of one tensor
        for each time step, empty unless `keep_factors`. With dh, dc the gradients by h[t], c[t]:

            dc += dh * through_h[t];  dz[t] = [dc, dc, dc, dh] * through_z[t];  dc[t-1] = dc * f[t]

        Made here, where the gates are still in the cache of the processor.
    """
    dtype, state_dtype = projected.dtype, initial_c.dtype
    timesteps = tf.shape(projected)[0]
    batch_size, units = initial_c.shape[0], recurrent_kernel.shape[0]
    # Without a gradient there may be one step only, which no transposition pays for.
    multiply = _product_with(recurrent_kernel, reads_rows=keep_factors and _reads_rows(dtype))

    def step(t, h, c, outputs, *factors):
        z = projected[t] + multiply(h)
        z_i, z_f, z_g, z_o = tf.split(tf.cast(z, state_dtype), 4, axis=1)
        i, f, g, o = tf.sigmoid(z_i), tf.sigmoid(z_f), tf.tanh(z_g), tf.sigmoid(z_o)
        previous_c, c = c, f * c + i * g
        tanh_c = tf.tanh(c)
        h = tf.cast(o * tanh_c, dtype)
        if factors:
            through_z = tf.concat(
                [
                    g * i * (1.0 - i),
                    previous_c * f * (1.0 - f),
                    i * (1.0 - g * g),
                    tanh_c * o * (1.0 - o),
                ],
                axis=1,
            )
            through_h = o * (1.0 - tanh_c * tanh_c)
            values = (through_z, through_h, f)
            factors = [array.write(t, v) for array, v in zip(factors, values, strict=True)]
        return t + 1, h, c, outputs.write(t, h), *factors

    sizes = (4 * units, units, units) if keep_factors else ()
    _, _, final_c, outputs, *factors = tf.while_loop(
        lambda t, *_: t < timesteps,
        step,
        (
            tf.constant(0),
            tf.cast(initial_h, dtype),
            initial_c,
            _array(dtype, timesteps, batch_size, units),
            *(_array(state_dtype, timesteps, batch_size, size) for size in sizes),
        ),
        parallel_iterations=1,
        maximum_iterations=timesteps,
    )
    outputs = outputs.stack()
    return (outputs, tf.cast(outputs[-1], state_dtype), final_c), factors


def _backward_loop(projected, initial_h, initial_c, recurrent_kernel, outputs, factors, upstream):
    """Gradients by `projected`, `initial_h`, `initial_c` and `recurrent_kernel`."""
    dtype, state_dtype = projected.dtype, initial_c.dtype
    timesteps = tf.shape(projected)[0]
    batch_size, units = initial_c.shape[0], recurrent_kernel.shape[0]
    d_outputs, d_final_h, d_final_c = upstream
    d_outputs = tf.cast(d_outputs, state_dtype)
    multiply = _product_with_transpose(recurrent_kernel, reads_rows=_reads_rows(dtype))

    def step(t, dh, dc, dz_array):
        through_z, through_h, f = (array.read(t) for array in factors)
        dh = dh + d_outputs[t]
        dc = dc + dh * through_h
        dz = tf.cast(tf.concat([dc, dc, dc, dh], axis=1) * through_z, dtype)
        dh = tf.cast(multiply(dz), state_dtype)
        return t - 1, dh, dc * f, dz_array.write(t, dz)

    _, d_initial_h, d_initial_c, dz = tf.while_loop(
        lambda t, *_: t >= 0,
        step,
        (timesteps - 1, d_final_h, d_final_c, _array(dtype, timesteps, batch_size, 4 * units)),
        parallel_iterations=1,
        maximum_iterations=timesteps,
    )
    dz = dz.stack()
    previous_h = tf.concat([tf.cast(initial_h, dtype)[tf.newaxis], outputs[:-1]], axis=0)
    d_recurrent_kernel = tf.matmul(
        tf.reshape(previous_h, (-1, units)), tf.reshape(dz, (-1, 4 * units)), transpose_a=True
    )
    return dz, d_initial_h, d_initial_c, d_recurrent_kernel


def _reads_rows(dtype):
    """Whether `a @ b^T` is faster than `a @ b` for a few rows `a` (measured: benchmarks/README)."""
    return dtype == tf.bfloat16


def _product_with(matrix, reads_rows):
    """`x -> x @ matrix`, for a loop."""
    if not reads_rows:
        return lambda x: tf.matmul(x, matrix)
    transposed = tf.transpose(matrix)
    return lambda x: tf.matmul(x, transposed, transpose_b=True)


def _product_with_transpose(matrix, reads_rows):
    """`x -> x @ matrix^T`, for a loop."""
    if reads_rows:
        return lambda x: tf.matmul(x, matrix, transpose_b=True)
    transposed = tf.transpose(matrix)
    return lambda x: tf.matmul(x, transposed)


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
    steps = tf.range(1, tf.shape(outputs)[0] + 1)
    rows = tf.minimum(steps, lengths[:, tf.newaxis])  # (batch_size, timesteps)
    by_row = tf.transpose(tf.concat([initial, outputs], axis=0), (1, 0, 2))
    repeated = tf.transpose(tf.gather(by_row, rows, batch_dims=1), (1, 0, 2))
    repeated.set_shape(outputs.shape)
    return repeated, tf.cast(repeated[-1], initial_h.dtype)
