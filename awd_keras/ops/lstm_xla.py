"""The LSTM as loops for XLA, to be called inside `tf.function(jit_compile=True)`.

On a GPU, XLA starts a few kernels per time step, so what counts is their number. The forward loop
only runs the cell and keeps its pre-activations and states. The factors of the backward pass are
computed for all time steps at once, and the backward loop is that of `lstm_portable`. XLA knows how
often a loop runs if the number of time steps is static: otherwise, a GPU waits for the host at
every step. Sequences of varying length are therefore padded, see `lengths`.
"""

import tensorflow as tf


def lstm_xla(inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths):
    """Runs an LSTM over a time-major sequence; the interface matches `lstm_portable`.

    A row's state is final after `lengths` steps, and its later outputs repeat the last one.
    """
    features, units = kernel.shape[0], recurrent_kernel.shape[0]
    timesteps, batch_size = tf.unstack(tf.shape(inputs)[:2])
    if lengths is None:
        lengths = tf.fill((batch_size,), timesteps)
    is_real = (tf.range(timesteps)[:, tf.newaxis] < lengths)[..., tf.newaxis]
    projected = tf.matmul(tf.reshape(inputs, (-1, features)), kernel) + bias
    projected = tf.reshape(projected, (timesteps, batch_size, 4 * units))

    @tf.custom_gradient
    def recurrence(projected, initial_h, initial_c, recurrent_kernel):
        z, h, c = _forward(projected, initial_h, initial_c, recurrent_kernel, is_real)

        def gradient(*upstream):
            factors = _factors(z, initial_c, c, is_real)
            return _backward(initial_h, recurrent_kernel, h, is_real, factors, upstream)

        return (h, tf.cast(h[-1], initial_h.dtype), c[-1]), gradient

    outputs, *states = recurrence(projected, initial_h, initial_c, recurrent_kernel)
    outputs.set_shape((*inputs.shape[:2], units))
    return outputs, *states


def _forward(projected, initial_h, initial_c, recurrent_kernel, is_real):
    """Returns the pre-activations, `h` and `c` of all time steps."""
    dtype, state_dtype = projected.dtype, initial_c.dtype

    def step(t, h, c, *arrays):
        z = projected[t] + tf.matmul(h, recurrent_kernel)
        i, f, g, o = _gates(z, state_dtype)
        new_c = f * c + i * g
        h = tf.where(is_real[t], tf.cast(o * tf.tanh(new_c), dtype), h)
        c = tf.where(is_real[t], new_c, c)
        return t + 1, h, c, *_write(arrays, t, (z, h, c))

    timesteps = tf.shape(projected)[0]
    _, _, _, *arrays = tf.while_loop(
        lambda t, *_: t < timesteps,
        step,
        (
            tf.constant(0),
            tf.cast(initial_h, dtype),
            initial_c,
            *(tf.TensorArray(x, timesteps) for x in (dtype, dtype, state_dtype)),
        ),
    )
    return [array.stack() for array in arrays]


def _factors(z, initial_c, c, is_real):
    """Returns the factors of the backward pass, as defined in `lstm_portable`."""
    i, f, g, o = _gates(z, c.dtype)
    previous_c = tf.concat([initial_c[tf.newaxis], c[:-1]], axis=0)
    tanh_c = tf.tanh(c)
    through_z = [
        g * i * (1.0 - i),
        previous_c * f * (1.0 - f),
        i * (1.0 - g * g),
        tanh_c * o * (1.0 - o),
    ]
    through_z = tf.where(is_real, tf.concat(through_z, axis=2), 0.0)
    through_h = tf.where(is_real, o * (1.0 - tanh_c * tanh_c), 0.0)
    return through_z, through_h, tf.where(is_real, f, 1.0)


def _backward(initial_h, recurrent_kernel, h, is_real, factors, upstream):
    """Returns the gradients of `projected`, the initial states and the recurrent matrix."""
    d_outputs, d_final_h, d_final_c = upstream
    through_z, through_h, f = factors
    dtype, state_dtype, units = h.dtype, f.dtype, recurrent_kernel.shape[0]
    d_outputs = tf.cast(d_outputs, state_dtype)

    def step(t, dh, dc, *arrays):
        dh = dh + d_outputs[t]
        dc = dc + dh * through_h[t]
        dz = tf.cast(tf.concat([dc, dc, dc, dh], axis=1) * through_z[t], dtype)
        through_matrix = tf.cast(tf.matmul(dz, recurrent_kernel, transpose_b=True), state_dtype)
        dh = tf.where(is_real[t], through_matrix, dh)
        return t - 1, dh, dc * f[t], *_write(arrays, t, (dz,))

    timesteps = tf.shape(h)[0]
    _, d_initial_h, d_initial_c, dz = tf.while_loop(
        lambda t, *_: t >= 0,
        step,
        (timesteps - 1, d_final_h, d_final_c, tf.TensorArray(dtype, timesteps)),
    )
    dz = dz.stack()
    previous_h = tf.concat([tf.cast(initial_h, dtype)[tf.newaxis], h[:-1]], axis=0)
    d_recurrent_kernel = tf.matmul(
        tf.reshape(previous_h, (-1, units)), tf.reshape(dz, (-1, 4 * units)), transpose_a=True
    )
    return dz, d_initial_h, d_initial_c, d_recurrent_kernel


def _gates(z, dtype):
    i, f, g, o = tf.split(tf.cast(z, dtype), 4, axis=-1)
    return tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)


def _write(arrays, t, values):
    return [array.write(t, value) for array, value in zip(arrays, values, strict=True)]
