"""The LSTM as loops for XLA, to be called inside `tf.function(jit_compile=True)`.

On a GPU, XLA starts a few kernels per time step, and their number counts more than arithmetic. The
forward loop therefore keeps only the states. Between the loops, one matmul recomputes the gates of
all time steps, and the factors of the backward pass follow from them. The backward loop is that of
`lstm_portable`. XLA must know how often a loop runs, since a GPU otherwise waits for the host at
every step: the number of time steps is static, and shorter sequences are padded (`lengths`).
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
        h, c = _forward(projected, initial_h, initial_c, recurrent_kernel, is_real)

        def gradient(*upstream):
            before_h, before_c = (
                tf.concat([tf.cast(initial, states.dtype)[tf.newaxis], states[:-1]], axis=0)
                for initial, states in ((initial_h, h), (initial_c, c))
            )
            z = projected + tf.matmul(before_h, recurrent_kernel)
            factors = _factors(z, before_c, c, is_real)
            dz, *d_initial = _backward(recurrent_kernel, is_real, factors, upstream, h.dtype)
            d_matrix = tf.einsum("tbi,tbj->ij", before_h, dz)
            return dz, *d_initial, d_matrix

        return (h, tf.cast(h[-1], initial_h.dtype), c[-1]), gradient

    outputs, *states = recurrence(projected, initial_h, initial_c, recurrent_kernel)
    outputs.set_shape((*inputs.shape[:2], units))
    return outputs, *states


def _forward(projected, initial_h, initial_c, recurrent_kernel, is_real):
    """Returns `h` and `c` of all time steps."""
    dtype, state_dtype = projected.dtype, initial_c.dtype

    def step(t, h, c, h_array, c_array):
        i, f, g, o = _gates(projected[t] + tf.matmul(h, recurrent_kernel), state_dtype)
        new_c = f * c + i * g
        h = tf.where(is_real[t], tf.cast(o * tf.tanh(new_c), dtype), h)
        c = tf.where(is_real[t], new_c, c)
        return t + 1, h, c, h_array.write(t, h), c_array.write(t, c)

    timesteps = tf.shape(projected)[0]
    arrays = [tf.TensorArray(x, timesteps) for x in (dtype, state_dtype)]
    start = (tf.constant(0), tf.cast(initial_h, dtype), initial_c, *arrays)
    *_, h, c = tf.while_loop(lambda t, *_: t < timesteps, step, start)
    return h.stack(), c.stack()


def _factors(z, before_c, c, is_real):
    """Returns the factors of the backward pass, as defined in `lstm_portable`."""
    i, f, g, o = _gates(z, c.dtype)
    tanh_c = tf.tanh(c)
    through_z = [
        g * i * (1.0 - i),
        before_c * f * (1.0 - f),
        i * (1.0 - g * g),
        tanh_c * o * (1.0 - o),
    ]
    through_z = tf.where(is_real, tf.concat(through_z, axis=2), 0.0)
    through_h = tf.where(is_real, o * (1.0 - tanh_c * tanh_c), 0.0)
    return through_z, through_h, tf.where(is_real, f, 1.0)


def _backward(recurrent_kernel, is_real, factors, upstream, dtype):
    """Returns the gradients of the pre-activations and the initial states."""
    through_z, through_h, f = factors
    d_outputs, d_final_h, d_final_c = upstream
    d_outputs = tf.cast(d_outputs, f.dtype)

    def step(t, dh, dc, dz_array):
        dh = dh + d_outputs[t]
        dc = dc + dh * through_h[t]
        dz = tf.cast(tf.concat([dc, dc, dc, dh], axis=1) * through_z[t], dtype)
        d_before = tf.cast(tf.matmul(dz, recurrent_kernel, transpose_b=True), f.dtype)
        return t - 1, tf.where(is_real[t], d_before, dh), dc * f[t], dz_array.write(t, dz)

    timesteps = tf.shape(f)[0]
    start = (timesteps - 1, d_final_h, d_final_c, tf.TensorArray(dtype, timesteps))
    _, d_initial_h, d_initial_c, dz = tf.while_loop(lambda t, *_: t >= 0, step, start)
    return dz.stack(), d_initial_h, d_initial_c


def _gates(z, dtype):
    i, f, g, o = tf.split(tf.cast(z, dtype), 4, axis=-1)
    return tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
