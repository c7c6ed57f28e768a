"""One LSTM layer over a sequence, with the weights as arguments.

Since the weights are arguments, weight dropout (DropConnect, section 2 of the paper) amounts to
passing a masked recurrent matrix. It works with any kernel, without changes to the kernel.

    z[t] = x[t] @ kernel + h[t-1] @ recurrent_kernel + bias            (batch_size, 4 * units)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), tanh(z_g), sigmoid(z_o)   gates in Keras's order
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])

This module prepares the arguments and selects the kernel: `lstm_portable` runs on any device,
`lstm_cudnn` on NVIDIA GPUs, and `lstm_xla` inside functions compiled by XLA.
"""

import contextlib
import contextvars

import tensorflow as tf

from awd_keras.ops.lstm_cudnn import lstm_cudnn
from awd_keras.ops.lstm_portable import lstm_portable
from awd_keras.ops.lstm_xla import lstm_xla
from awd_keras.ops.recurrent_matmul import Forms
from awd_keras.ops.sequences import run_time_major

_portable_only = contextvars.ContextVar("portable_only", default=False)


@contextlib.contextmanager
def portable_kernels():
    """Makes `implementation="auto"` select the portable kernel inside a `with` block.

    Use it to trace graphs that must run on any device, such as a SavedModel exported on a machine
    with a GPU.
    """
    token = _portable_only.set(True)
    try:
        yield
    finally:
        _portable_only.reset(token)


def exporting():
    """Returns whether kernels must run on any device, as inside `portable_kernels()`."""
    return _portable_only.get()


def transposed_ids(token_ids):
    """Transposes ids of shape `(batch_size, timesteps)` to `(timesteps, batch_size)`, or back."""
    # Without AVX-512, oneDNN logs an error when tf.transpose is given integers.
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
    lengths=None,
    time_major=False,
    implementation="auto",
    training=True,
):
    """Runs an LSTM over a sequence.

    Args:
        inputs: Tensor of shape `(batch_size, timesteps, features)`, or
            `(timesteps, batch_size, features)` if `time_major`. Matrix products are computed in
            this dtype.
        initial_h: Tensor of shape `(batch_size, units)`.
        initial_c: Tensor of shape `(batch_size, units)`.
        kernel: Tensor of shape `(features, 4 * units)`, gates in the order i, f, c, o.
        recurrent_kernel: Tensor of shape `(units, 4 * units)`.
        bias: Tensor of shape `(4 * units,)`.
        mask: Boolean tensor of shape `(batch_size, timesteps)`, or `(timesteps, batch_size)` if
            `time_major`, or `None` (the default). Steps where it is `False` are skipped, as in
            Keras: the state does not change, and the output repeats the previous one, or is zero
            if there is none.
        lengths: Integer tensor of shape `(batch_size,)`, an alternative to `mask` that costs less:
            a row's state is final after this many steps, and its later outputs are undefined.
            Defaults to `None`: all steps.
        time_major: Whether time is the first axis of `inputs`, `mask` and `outputs`. Defaults to
            `False`.
        implementation: `"portable"`, `"cudnn"`, `"xla"` (for functions compiled by XLA), or
            `"auto"` (the default), which selects cuDNN if TensorFlow sees a GPU and the portable
            loop otherwise. `"portable/FORWARD/BACKWARD"` also selects the `recurrent_matmul.Forms`
            of training.
        training: Whether to keep intermediate values for the backward pass. Without them,
            computing the gradient repeats the forward pass. Defaults to `True`.

    Returns:
        `(outputs, final_h, final_c)`. `outputs` has shape `(batch_size, timesteps, units)`, or
        `(timesteps, batch_size, units)` if `time_major`, and the dtype of `inputs`. The states
        have shape `(batch_size, units)` and are float32 even under mixed precision (float64 for
        float64 inputs), so that they are not rounded from window to window.

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
    training = bool(training)  # Keras may pass `None`
    implementation, *forms = implementation.split("/")
    forms = Forms(*forms) if forms else None

    def run(inputs, lengths):
        arguments = (inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths)
        if implementation == "xla":
            return lstm_xla(*arguments)
        if use_cudnn(implementation):
            return lstm_cudnn(*arguments, training)
        # Loading a SavedModel with custom gradients logs warnings.
        custom_gradient = training or not exporting()
        return lstm_portable(*arguments, training, custom_gradient, forms)

    return run_time_major(run, inputs, mask, lengths, time_major)


def use_cudnn(implementation):
    """Returns whether an implementation is cuDNN's, or raises a `ValueError`."""
    if implementation not in ("auto", "portable", "cudnn"):
        raise ValueError(
            '`implementation` must be "auto", "portable", "cudnn" or "xla". '
            f"Received: implementation={implementation!r}"
        )
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    if implementation == "cudnn" and not has_gpu:
        raise ValueError(
            "implementation='cudnn' needs a GPU, but TensorFlow sees none. "
            "Use implementation='auto' or 'portable'."
        )
    if implementation == "auto":
        return has_gpu and not exporting()
    return implementation == "cudnn"
