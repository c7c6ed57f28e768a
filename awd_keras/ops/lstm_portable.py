"""The LSTM as a TensorFlow loop with a custom gradient, for any device.

What makes it fast:

- `inputs @ kernel + bias` is one matmul for all time steps, before the loop.
- The backward loop computes only `dz[t]` and `dz[t] @ recurrent_kernel^T`. The gradients of the
  kernels and the bias take one matmul each, over all time steps, after the loop. Automatic
  differentiation would add a full matrix at every step.
- The factors of the backward pass are computed in the forward loop, while the gates are still in
  the processor's cache. Inference skips them.
- Each loop multiplies in the form that is fastest (see `recurrent_matmul`); where that reads a
  transposed recurrent matrix, it is transposed once, before the loop.
- At inference, weights that are constants of the graph stay in the layout of the matmul's kernel.
- A single step without a gradient needs no loop.

States are float32 regardless of the dtype of the matmuls (float64 for float64 inputs).
"""

import tensorflow as tf

from awd_keras.ops.recurrent_matmul import default_forms, matmul_by
from awd_keras.ops.sequences import take_steps

# A pre-activation that fully saturates a sigmoid in every dtype.
_SATURATED = 1e4


def lstm_portable(
    inputs,
    initial_h,
    initial_c,
    kernel,
    recurrent_kernel,
    bias,
    lengths,
    training=True,
    custom_gradient=True,
    forms=None,
):
    """Runs an LSTM over a time-major sequence.

    The arguments are those of `ops.lstm`, with the weights in the dtype of the inputs and the
    states in float32 (float64 for float64 inputs). `lengths` is `None`, or an integer tensor of
    shape `(batch_size,)`: a row's state is final after this many steps, and its later outputs are
    undefined. `custom_gradient=False` leaves the gradient to automatic differentiation. `forms` are
    the `Forms` of the recurrent matmuls in training; by default, those of `default_forms`.
    """
    features, units = kernel.shape[0], recurrent_kernel.shape[0]
    timesteps, batch_size = tf.unstack(tf.shape(inputs)[:2])
    packed = None if training else _packed_matmul(recurrent_kernel, bias)
    projected = tf.matmul(tf.reshape(inputs, (-1, features)), kernel)
    if packed is None:
        projected += bias
    projected = tf.reshape(projected, (timesteps, batch_size, 4 * units))
    # Loop variables must keep their static shapes, so all get the most specific one.
    batch_size = inputs.shape[1] or initial_h.shape[0] or initial_c.shape[0]
    projected.set_shape((inputs.shape[0], batch_size, 4 * units))
    initial_h.set_shape((batch_size, units))
    initial_c.set_shape((batch_size, units))
    if lengths is not None:
        projected = _hold_state_after(projected, lengths, units)
    arguments = projected, initial_h, initial_c, recurrent_kernel
    if custom_gradient and packed is None:
        forms = forms or default_forms(inputs.dtype)
        outputs, final_h, final_c = _recurrence(*arguments, training, forms)
    else:
        multiply = packed or matmul_by(recurrent_kernel, False, "direct")
        (outputs, final_h, final_c), _ = _forward(*arguments[:3], multiply, keep_factors=False)
    outputs.set_shape((inputs.shape[0], batch_size, units))
    if lengths is not None:
        all_h = tf.concat([tf.cast(initial_h, outputs.dtype)[tf.newaxis], outputs], axis=0)
        final_h = tf.cast(take_steps(all_h, lengths[:, tf.newaxis])[0], initial_h.dtype)
    return outputs, final_h, final_c


def _recurrence(projected, initial_h, initial_c, recurrent_kernel, training, forms):
    """Runs the sequential part of an LSTM; `projected` is `inputs @ kernel + bias`."""

    @tf.custom_gradient
    def recurrence(*arguments):
        *sequence, recurrent_kernel = arguments

        def forward(keep_factors):
            # At inference, there may be too few steps to amortize a transposed copy.
            form = forms.forward if keep_factors else "direct"
            multiply = matmul_by(recurrent_kernel, False, form)
            return _forward(*sequence, multiply, keep_factors)

        results, factors = forward(keep_factors=training)

        def gradient(*upstream):
            kept = factors if training else forward(keep_factors=True)[1]
            multiply = matmul_by(recurrent_kernel, True, forms.backward)
            return _backward(*sequence, multiply, results[0], kept, upstream)

        return results, gradient

    return recurrence(projected, initial_h, initial_c, recurrent_kernel)


def _packed_matmul(recurrent_kernel, bias):
    """Returns `h -> h @ recurrent_kernel + bias` if both are constants of a graph, else `None`.

    oneDNN packs the matrix at every matmul, which for few rows takes as long as the product itself.
    It keeps the packed matrix if the matrix is a constant of the same graph, here of the body of
    the loop, and TensorFlow has fused the matmul with the addition of a nonzero bias.
    """
    if tf.executing_eagerly():
        return None
    values = [tf.get_static_value(weight) for weight in (recurrent_kernel, bias)]
    if any(value is None for value in values):
        return None
    return lambda h: tf.nn.bias_add(tf.matmul(h, tf.constant(values[0])), tf.constant(values[1]))


def _forward(projected, initial_h, initial_c, multiply, keep_factors):
    """Runs the cell over all time steps; `multiply(h)` is `h @ recurrent_kernel`.

    Returns `(outputs, final_h, final_c)`, and the factors of the backward pass as TensorArrays over
    time (an empty list unless `keep_factors`). With `dh` and `dc` the gradients with respect to
    `h[t]` and `c[t]`:

        dc += dh * through_h[t];  dz[t] = [dc, dc, dc, dh] * through_z[t];  dc[t-1] = dc * f[t]
    """
    dtype, state_dtype = projected.dtype, initial_c.dtype
    batch_size, units = initial_c.shape

    def cell(x, h, c):
        z = x + multiply(h)
        z_i, z_f, z_g, z_o = tf.split(tf.cast(z, state_dtype), 4, axis=1)
        i, f, g, o = tf.sigmoid(z_i), tf.sigmoid(z_f), tf.tanh(z_g), tf.sigmoid(z_o)
        previous_c, c = c, f * c + i * g
        tanh_c = tf.tanh(c)
        h = tf.cast(o * tanh_c, dtype)
        if not keep_factors:
            return h, c, ()
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
        return h, c, (through_z, through_h, f)

    if projected.shape[0] == 1 and not keep_factors:
        h, c, _ = cell(projected[0], tf.cast(initial_h, dtype), initial_c)
        return (h[tf.newaxis], tf.cast(h, state_dtype), c), []

    def step(t, h, c, outputs, *factors):
        h, c, values = cell(projected[t], h, c)
        factors = [array.write(t, value) for array, value in zip(factors, values, strict=True)]
        return t + 1, h, c, outputs.write(t, h), *factors

    timesteps = tf.shape(projected)[0]
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
    )
    outputs = outputs.stack()
    return (outputs, tf.cast(outputs[-1], state_dtype), final_c), factors


def _backward(projected, initial_h, initial_c, multiply, outputs, factors, upstream):
    """Returns the gradients with respect to the first three arguments and the recurrent kernel.

    `multiply(dz)` is `dz @ recurrent_kernel^T`.
    """
    dtype, state_dtype = projected.dtype, initial_c.dtype
    timesteps = tf.shape(projected)[0]
    batch_size, units = initial_c.shape
    d_outputs, d_final_h, d_final_c = upstream
    d_outputs = tf.cast(d_outputs, state_dtype)

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
    )
    dz = dz.stack()
    previous_h = tf.concat([tf.cast(initial_h, dtype)[tf.newaxis], outputs[:-1]], axis=0)
    d_recurrent_kernel = tf.matmul(
        tf.reshape(previous_h, (-1, units)), tf.reshape(dz, (-1, 4 * units)), transpose_a=True
    )
    return dz, d_initial_h, d_initial_c, d_recurrent_kernel


def _array(dtype, timesteps, batch_size, size):
    return tf.TensorArray(
        dtype, timesteps, element_shape=(batch_size, size), clear_after_read=False
    )


def _hold_state_after(projected, lengths, units):
    """Closes the input gate and opens the forget gate of steps beyond a row's length.

    Such a step keeps `c` exactly, and no gradient flows through its gates.
    """
    steps = tf.range(tf.shape(projected)[0])[:, tf.newaxis]
    padded = tf.cast(steps >= lengths, projected.dtype)[..., tf.newaxis]
    ones = tf.ones(units, projected.dtype)
    direction = tf.concat([-ones, ones, 0.0 * ones, 0.0 * ones], axis=0)
    return projected + padded * direction * _SATURATED
