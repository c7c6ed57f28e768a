"""One LSTM layer over a sequence, with the weights as arguments.

The weights are plain tensors, so weight dropout (DropConnect, section 2 of the paper) only means
passing a masked recurrent matrix: any kernel can be used, and none needs to know about dropout.

    z[t] = x[t] @ kernel + h[t-1] @ recurrent_kernel + bias            (batch_size, 4 * units)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), tanh(z_g), sigmoid(z_o)   gates in Keras's order
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])

This module prepares the arguments and chooses the kernel: `lstm_portable` runs on any device,
`lstm_cudnn` on NVIDIA GPUs.
"""

import contextlib
import contextvars
import functools

import tensorflow as tf

from awd_keras.ops.lstm_cudnn import lstm_cudnn
from awd_keras.ops.lstm_portable import lstm_portable, take_steps

IMPLEMENTATIONS = ("auto", "portable", "cudnn")
_portable_only = contextvars.ContextVar("portable_only", default=False)


@contextlib.contextmanager
def portable_kernels():
    """Context manager in which `implementation="auto"` selects the portable kernel.

    Use it to trace graphs that must run on any device, such as a SavedModel exported on a machine
    with a GPU.
    """
    token = _portable_only.set(True)
    try:
        yield
    finally:
        _portable_only.reset(token)


def transposed_ids(token_ids):
    """Transposes word ids: batch-major to time-major, or back.

    Args:
        token_ids: Integer tensor of shape `(batch_size, timesteps)`.

    Returns:
        Tensor of shape `(timesteps, batch_size)`.
    """
    # On processors without AVX-512, tf.transpose of integers logs an error of oneDNN.
    return tf.einsum("ij->ji", token_ids)


def lstm(
    inputs,
    initial_h,
    initial_c,
    kernel,
    recurrent_kernel,
    bias,
    *,
    mask=None,
    time_major=False,
    implementation="auto",
    training=True,
):
    """Runs an LSTM over a sequence.

    Args:
        inputs: Tensor of shape `(batch_size, timesteps, features)`, or
            `(timesteps, batch_size, features)` if `time_major`. Matrix products are computed in
            its dtype.
        initial_h: Tensor of shape `(batch_size, units)`.
        initial_c: Tensor of shape `(batch_size, units)`.
        kernel: Tensor of shape `(features, 4 * units)`, gates in the order i, f, c, o.
        recurrent_kernel: Tensor of shape `(units, 4 * units)`.
        bias: Tensor of shape `(4 * units,)`.
        mask: Boolean tensor of shape `(batch_size, timesteps)`, or `(timesteps, batch_size)` if
            `time_major`. Steps where it is `False` are skipped: the state does not change, and
            the output repeats the previous one (zeros if there is none), as in Keras. Defaults to
            `None`, no skipped steps.
        time_major: Whether time is the first axis of `inputs`, `mask` and `outputs`. Defaults to
            `False`.
        implementation: `"portable"`, `"cudnn"`, or `"auto"` (default), which selects cuDNN if
            TensorFlow sees a GPU and the portable loop otherwise.
        training: If `False`, intermediate values are not kept for the backward pass. Gradients
            are still correct, but computing them repeats the forward pass. Defaults to `True`.

    Returns:
        `(outputs, final_h, final_c)`. `outputs` has shape `(batch_size, timesteps, units)`, time
        first if `time_major`, and the dtype of `inputs`. The final states have shape
        `(batch_size, units)` and dtype float32 (float64 for float64 inputs), so that a state
        carried over many windows keeps its precision under mixed precision.

    Raises:
        ValueError: If `implementation` is unknown, or `"cudnn"` without a GPU.

    Example:

    >>> x = tf.ones((2, 3, 4))
    >>> zeros = tf.zeros((2, 5))
    >>> y, h, c = lstm(x, zeros, zeros, tf.ones((4, 20)), tf.ones((5, 20)), tf.zeros(20))
    >>> y.shape, h.shape, c.shape
    (TensorShape([2, 3, 5]), TensorShape([2, 5]), TensorShape([2, 5]))
    """
    inputs = tf.convert_to_tensor(inputs)
    state_dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
    initial_h = tf.cast(initial_h, state_dtype)
    initial_c = tf.cast(initial_c, state_dtype)
    kernel = tf.cast(kernel, inputs.dtype)
    recurrent_kernel = tf.cast(recurrent_kernel, inputs.dtype)
    bias = tf.cast(bias, inputs.dtype)

    if not time_major:
        inputs = tf.transpose(inputs, (1, 0, 2))
    lengths = None
    if mask is not None:
        mask = tf.cast(mask, tf.bool)
        if time_major:
            mask = tf.transpose(mask)
        inputs, lengths = _pack(inputs, mask)
    if _use_cudnn(implementation):
        run = lstm_cudnn
    elif _portable_only.get() and not training:
        # Loading a SavedModel with custom gradients logs warnings.
        run = functools.partial(lstm_portable, custom_gradient=False)
    else:
        run = lstm_portable
    outputs, final_h, final_c = run(
        inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths, bool(training)
    )
    if mask is not None:
        outputs = _unpack(outputs, mask)
    if not time_major:
        outputs = tf.transpose(outputs, (1, 0, 2))
    return outputs, final_h, final_c


def _use_cudnn(implementation):
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` must be one of {', '.join(IMPLEMENTATIONS)}. "
            f"Received: implementation={implementation!r}"
        )
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    if implementation == "cudnn" and not has_gpu:
        raise ValueError(
            "implementation='cudnn' needs a GPU, but TensorFlow sees none. "
            "Use implementation='auto' or 'portable'."
        )
    if implementation == "auto":
        return has_gpu and not _portable_only.get()
    return implementation == "cudnn"


def _pack(inputs, mask):
    """Moves the unmasked steps of each row to its beginning, since kernels skip only later ones.

    Returns:
        The packed inputs, and the number of unmasked steps of each row.
    """
    timesteps = tf.shape(mask)[1]
    steps = tf.range(timesteps)
    order = tf.argsort(tf.where(mask, steps, steps + timesteps), axis=1)
    return take_steps(inputs, order), tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)


def _unpack(outputs, mask):
    """Moves outputs back to the steps they belong to; masked steps repeat the previous one."""
    seen = tf.cumsum(tf.cast(mask, tf.int32), axis=1)
    unpacked = take_steps(tf.pad(outputs, [[1, 0], [0, 0], [0, 0]]), seen)
    unpacked.set_shape(outputs.shape)
    return unpacked
