"""One QRNN layer over a sequence, with the weights as arguments.

    z, f, o = tanh(y_z), sigmoid(y_f), sigmoid(y_o)    y[t] = [x[t], x[t-1]] @ kernel + bias
    c[t] = f * z + (1 - f) * c[t-1]
    h[t] = o * c[t]

As in the authors' `pytorch-qrnn`, `f` multiplies the candidate. One matmul serves all time steps,
and the recurrence is element-wise: a loop on CPUs, and on GPUs a parallel scan, whose number of
kernels grows with the logarithm of the number of steps.

Everything but the matmul is computed in float32 (float64 for float64 inputs).
"""

import tensorflow as tf

from awd_keras.ops.lstm import exporting
from awd_keras.ops.random import dropout_mask
from awd_keras.ops.replicas import num_replicas, replica_rows
from awd_keras.ops.sequences import run_time_major, take_steps

# Levels of a scan over a number of steps that is unknown when tracing: for 65,535 of them.
_MAX_LEVELS = 16


def qrnn(
    inputs,
    initial_c,
    kernel,
    bias,
    *,
    initial_x=None,
    output_gate=True,
    zoneout=0.0,
    zoneout_seed=None,
    mask=None,
    lengths=None,
    time_major=False,
    implementation="auto",
):
    """Runs a QRNN (Bradbury et al., 2016) over a sequence.

    Args:
        inputs: Tensor of shape `(batch_size, timesteps, features)`, or
            `(timesteps, batch_size, features)` if `time_major`. The matrix product is computed in
            this dtype.
        initial_c: Tensor of shape `(batch_size, units)`.
        kernel: Tensor of shape `(window * features, 3 * units)`, with columns z, f, o, or
            `(window * features, 2 * units)` without `output_gate`. For a window of 2, the rows of
            the current input come first, then those of the previous one.
        bias: Tensor of shape `(3 * units,)`, or `(2 * units,)`.
        initial_x: Tensor of shape `(batch_size, features)`, the input before the first, for a
            window of 2. Defaults to `None`: the window is 1.
        output_gate: Whether the outputs are `o * c` instead of `c`. Defaults to `True`.
        zoneout: Float in the range `[0, 1)`, the probability that an entry of the state keeps its
            value. Defaults to 0.
        zoneout_seed: Int32 tensor of shape `(2,)`, from which zoneout is drawn. Defaults to `None`:
            `f` is multiplied by its expectation, as at inference.
        mask, lengths, time_major: As in `ops.lstm`.
        implementation: `"loop"`, `"scan"`, or `"auto"` (the default), which selects the scan if
            TensorFlow sees a GPU and the loop otherwise.

    Returns:
        `(outputs, final_c)`, and the last input if there is `initial_x`. `outputs` has shape
        `(batch_size, timesteps, units)`, or `(timesteps, batch_size, units)` if `time_major`, and
        the dtype of `inputs`. The states are float32 even under mixed precision (float64 for
        float64 inputs).

    Raises:
        ValueError: If `implementation` is unknown.

    Example:

    >>> y, c = qrnn(tf.ones((2, 3, 4)), tf.zeros((2, 5)), tf.ones((4, 15)), tf.zeros(15))
    >>> y.shape, c.shape
    (TensorShape([2, 3, 5]), TensorShape([2, 5]))
    """
    if implementation not in ("auto", "loop", "scan"):
        raise ValueError(
            '`implementation` must be "auto", "loop" or "scan". '
            f"Received: implementation={implementation!r}"
        )
    if implementation == "auto":
        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        implementation = "scan" if has_gpu and not exporting() else "loop"
    inputs = tf.convert_to_tensor(inputs)
    dtype = inputs.dtype
    state_dtype = tf.float64 if dtype == tf.float64 else tf.float32
    units = kernel.shape[1] // (3 if output_gate else 2)
    initial_c = tf.cast(initial_c, state_dtype)
    kernel, bias = tf.cast(kernel, dtype), tf.cast(bias, dtype)

    def run(x, lengths):
        timesteps, batch_size = tf.unstack(tf.shape(x)[:2])
        all_x = x
        if initial_x is not None:
            all_x = tf.concat([tf.cast(initial_x, dtype)[tf.newaxis], x], axis=0)
            x = tf.concat([x, all_x[:-1]], axis=2)  # has fewer elements than a second product
        y = tf.nn.bias_add(tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel), bias)
        y = tf.reshape(y, (timesteps, batch_size, kernel.shape[1]))
        static_batch = x.shape[1] or initial_c.shape[0]
        y.set_shape((x.shape[0], static_batch, kernel.shape[1]))
        initial_c.set_shape((static_batch, units))
        z, f, *o = (tf.cast(part, state_dtype) for part in tf.split(y, kernel.shape[1] // units, 2))
        z, f = tf.tanh(z), tf.sigmoid(f)
        if zoneout > 0:
            f *= _zoneout(tf.shape(f), zoneout, zoneout_seed, state_dtype)
        if lengths is not None:  # f = 0 keeps the state
            is_real = (tf.range(timesteps)[:, tf.newaxis] < lengths)[..., tf.newaxis]
            f = tf.where(is_real, f, tf.zeros((), state_dtype))
        c = _recurrence(f, z, initial_c, implementation)
        outputs = tf.cast(tf.sigmoid(o[0]) * c if output_gate else c, dtype)
        if initial_x is None:
            return outputs, c[-1]
        last_x = all_x[-1] if lengths is None else take_steps(all_x, lengths[:, tf.newaxis])[0]
        return outputs, c[-1], tf.cast(last_x, state_dtype)

    return run_time_major(run, inputs, mask, lengths, time_major)


def _zoneout(shape, rate, seed, dtype):
    """Returns the factors of `f`, of a time-major shape: 0 or 1, or their expectation."""
    if seed is None:
        return tf.constant(1.0 - rate, dtype)
    timesteps, batch_size, units = tf.unstack(shape)
    mask = dropout_mask((batch_size * num_replicas(), timesteps, units), rate, seed, dtype)
    return tf.transpose(tf.cast(replica_rows(mask) > 0, dtype), (1, 0, 2))


def _recurrence(f, z, initial_c, implementation):
    """Returns `c` of all time steps."""
    forward, backward = (_loop, _loop_back) if implementation == "loop" else (_scan, _scan_back)
    if exporting():  # loading a SavedModel with custom gradients logs warnings
        return forward(f, z, initial_c)

    @tf.custom_gradient
    def recurrence(f, z, initial_c):
        c = forward(f, z, initial_c)

        def gradient(d_outputs):
            dc, d_initial_c = backward(f, d_outputs)
            previous_c = tf.concat([initial_c[tf.newaxis], c[:-1]], axis=0)
            return dc * (z - previous_c), dc * f, d_initial_c

        return c, gradient

    return recurrence(f, z, initial_c)


def _loop(f, z, initial_c):
    if f.shape[0] == 1:
        return initial_c + f * (z - initial_c)

    def step(t, c, all_c):
        c += f[t] * (z[t] - c)
        return t + 1, c, all_c.write(t, c)

    timesteps = tf.shape(f)[0]
    variables = tf.constant(0), initial_c, _array(f)
    condition = lambda t, *_: t < timesteps  # noqa: E731
    return tf.while_loop(condition, step, variables, parallel_iterations=1)[2].stack()


def _loop_back(f, d_outputs):
    """Returns the gradients with respect to `c` of all time steps and the initial state."""

    def step(t, dc, all_dc):
        dc += d_outputs[t]
        return t - 1, dc - f[t] * dc, all_dc.write(t, dc)

    variables = tf.shape(f)[0] - 1, tf.zeros_like(d_outputs[0]), _array(f)
    condition = lambda t, *_: t >= 0  # noqa: E731
    _, d_initial_c, all_dc = tf.while_loop(condition, step, variables, parallel_iterations=1)
    return all_dc.stack(), d_initial_c


def _scan(f, z, initial_c):
    # The initial state is one more step.
    keep = tf.pad(1.0 - f, [[1, 0], [0, 0], [0, 0]])
    return _double(keep, tf.concat([initial_c[tf.newaxis], f * z], axis=0), 1)[1:]


def _scan_back(f, d_outputs):
    keep = tf.pad(1.0 - f, [[0, 1], [0, 0], [0, 0]])
    dc = _double(keep, tf.pad(d_outputs, [[1, 0], [0, 0], [0, 0]]), -1)
    return dc[1:], dc[0]


def _double(keep, values, direction):
    """Computes `c[t] = keep[t] * c[t - direction] + values[t]` by Hillis and Steele's scan.

    `keep` is 0 at the step without predecessor. After each level, `values[t]` takes twice as many
    steps into account, and `keep[t]` is their product: 0 if they reach the first, so that it does
    not matter that `tf.roll` wraps around.
    """
    timesteps = tf.shape(values)[0]
    levels = _MAX_LEVELS if values.shape[0] is None else (values.shape[0] - 1).bit_length()

    def doubled(keep, values, shift):
        rolled = tf.roll(values, direction * shift, axis=0)
        return keep * tf.roll(keep, direction * shift, axis=0), values + keep * rolled

    for level in range(levels):
        shift = 2**level
        if values.shape[0] is None:
            # The condition is known on the host, so that a GPU does not wait.
            keep, values = tf.cond(
                shift < timesteps,
                lambda keep=keep, values=values, shift=shift: doubled(keep, values, shift),
                lambda keep=keep, values=values: (keep, values),
            )
        else:
            keep, values = doubled(keep, values, shift)
    return values


def _array(like):
    return tf.TensorArray(like.dtype, tf.shape(like)[0], element_shape=like.shape[1:])
