"""One LSTM layer over a sequence, with its weights as arguments.

The weights are plain tensors, so dropping entries of the recurrent matrix (DropConnect, section 2
of the paper) is passing a masked matrix: every kernel serves, and no kernel knows about dropping.

    z[t] = x[t] @ kernel + h[t-1] @ recurrent_kernel + bias          (batch, 4 * units)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), tanh(z_g), sigmoid(z_o)    gates in Keras's order
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])

This file chooses the kernel: `lstm_portable` runs everywhere, `lstm_cudnn` on an NVIDIA GPU.
"""

import contextlib
import contextvars
import warnings
from concurrent import futures

import tensorflow as tf

from awd_keras.ops.lstm_cudnn import lstm_cudnn
from awd_keras.ops.lstm_portable import lstm_portable

IMPLEMENTATIONS = ("auto", "portable", "cudnn")
# Largest relative difference between the kernels that still counts as agreement.
_TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "float16": 5e-2, "bfloat16": 2e-1}
_cudnn_agrees = {}
_only_portable = contextvars.ContextVar("only_portable", default=False)


@contextlib.contextmanager
def portable_kernels():
    """Makes `"auto"` choose the portable loop, for graphs that must run on any device.

    Example:

    >>> with portable_kernels():
    ...     y, h, c = lstm(
    ...         tf.ones((2, 3, 4)),
    ...         tf.zeros((2, 5)),
    ...         tf.zeros((2, 5)),
    ...         tf.ones((4, 20)),
    ...         tf.ones((5, 20)),
    ...         tf.zeros(20),
    ...     )
    """
    token = _only_portable.set(True)
    try:
        yield
    finally:
        _only_portable.reset(token)


def lstm(
    inputs,
    initial_h,
    initial_c,
    kernel,
    recurrent_kernel,
    bias,
    *,
    lengths=None,
    time_major=False,
    implementation="auto",
    training=True,
):
    """Runs an LSTM over a sequence.

    Args:
        inputs: tensor (batch_size, timesteps, features), or (timesteps, batch_size, features)
            if `time_major`. Its dtype is the dtype of the products.
        initial_h: tensor (batch_size, units).
        initial_c: tensor (batch_size, units).
        kernel: tensor (features, 4 * units), gates in the order i, f, c, o.
        recurrent_kernel: tensor (units, 4 * units).
        bias: tensor (4 * units,).
        lengths: None, or an integer tensor (batch_size,): the sequences are padded on the right,
            and the state of a row stays as it is after its last step.
        time_major: whether time is the first axis of `inputs` and `outputs`.
        implementation: `"auto"` takes cuDNN where a GPU is visible and the portable loop
            elsewhere; `"portable"`; `"cudnn"`.
        training: if False, nothing is kept for the gradient. One can still be taken, which then
            runs the kernel once more.

    Returns:
        `(outputs, final_h, final_c)`. `outputs` is (batch_size, timesteps, units) in the dtype of
        `inputs` (time first if `time_major`). The final states are (batch_size, units) in
        float32, or in float64 for float64 inputs: a state carried over many windows must not
        lose digits in half precision.

    Raises:
        ValueError: for an unknown implementation, or `"cudnn"` without a GPU.

    Example:

    >>> x = tf.ones((2, 3, 4))
    >>> zeros = tf.zeros((2, 5))
    >>> y, h, c = lstm(x, zeros, zeros, tf.ones((4, 20)), tf.ones((5, 20)), tf.zeros(20))
    >>> y.shape, h.shape, c.shape
    (TensorShape([2, 3, 5]), TensorShape([2, 5]), TensorShape([2, 5]))
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` must be one of {', '.join(IMPLEMENTATIONS)}. "
            f"Received: implementation={implementation!r}"
        )
    inputs = tf.convert_to_tensor(inputs)
    state_dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
    initial_h = tf.cast(initial_h, state_dtype)
    initial_c = tf.cast(initial_c, state_dtype)
    kernel = tf.cast(kernel, inputs.dtype)
    recurrent_kernel = tf.cast(recurrent_kernel, inputs.dtype)
    bias = tf.cast(bias, inputs.dtype)

    # Transposing the ids of a whole model once would be cheaper than transposing here, but a
    # layer alone cannot know where its inputs come from.
    if not time_major:
        inputs = tf.transpose(inputs, (1, 0, 2))
    arguments = (inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths)
    if _use_cudnn(implementation, inputs, recurrent_kernel):
        outputs, final_h, final_c = lstm_cudnn(*arguments, training=training)
    else:
        outputs, final_h, final_c = lstm_portable(*arguments, training=training)
    if not time_major:
        outputs = tf.transpose(outputs, (1, 0, 2))
    return outputs, final_h, final_c


def _use_cudnn(implementation, inputs, recurrent_kernel):
    if implementation == "portable" or (implementation == "auto" and _only_portable.get()):
        return False
    # Decided when the graph is made. Export makes portable graphs by asking for "portable".
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    if implementation == "cudnn":
        if not has_gpu:
            raise ValueError(
                "implementation='cudnn' needs a GPU, and TensorFlow sees none. "
                "Use implementation='auto' or 'portable'."
            )
        return True
    return has_gpu and _cudnn_is_trusted(inputs, recurrent_kernel)


def _cudnn_is_trusted(inputs, recurrent_kernel):
    """Compares the kernels once for each shape, on numbers of that shape."""
    batch_size = inputs.shape[1] or 4
    features, units = inputs.shape[2], recurrent_kernel.shape[0]
    key = (inputs.dtype.name, batch_size, features, units)
    if key not in _cudnn_agrees:
        # We may be inside a graph or a gradient tape; a thread of its own starts outside both.
        with futures.ThreadPoolExecutor(1) as thread:
            comparison = thread.submit(
                _largest_difference, inputs.dtype, batch_size, features, units
            )
        try:
            difference = comparison.result()
            agrees = difference <= _TOLERANCE[inputs.dtype.name]  # not so for NaN
            problem = None if agrees else f"differs from the portable loop by {difference:.1e}"
        except tf.errors.OpError as error:
            problem = f"cannot run ({type(error).__name__}: {error.message.splitlines()[0]})"
        _cudnn_agrees[key] = problem is None
        if problem:
            warnings.warn(
                f"The cuDNN LSTM {problem} for batch_size={batch_size}, features={features}, "
                f"units={units}, {inputs.dtype.name}. The portable loop is used instead.",
                stacklevel=3,
            )
    return _cudnn_agrees[key]


def _largest_difference(dtype, batch_size, features, units, timesteps=5):
    """Largest relative difference of outputs and gradients between the two kernels."""
    shapes = [(timesteps, batch_size, features), (batch_size, units), (batch_size, units)]
    shapes += [(features, 4 * units), (units, 4 * units), (4 * units,)]
    bound = units**-0.5
    arguments = [
        tf.random.stateless_uniform(shape, (7, index), -bound, bound, dtype=tf.float32)
        for index, shape in enumerate(shapes)
    ]
    states = tf.float64 if dtype == tf.float64 else tf.float32
    dtypes = [dtype, states, states, dtype, dtype, dtype]
    arguments = [tf.cast(argument, to) for argument, to in zip(arguments, dtypes, strict=True)]
    results = []
    for function in (lstm_portable, lstm_cudnn):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            outputs = function(*arguments, None)
            loss = tf.add_n([tf.reduce_sum(tf.cast(output, states) ** 2) for output in outputs])
        results.append([*outputs, *tape.gradient(loss, arguments)])
    differences = []
    for expected, received in zip(*results, strict=True):
        expected, received = tf.cast(expected, states), tf.cast(received, states)
        scale = tf.reduce_max(tf.abs(expected))
        differences.append(tf.reduce_max(tf.abs(expected - received)) / scale)
    return float(tf.reduce_max(tf.stack(differences)))
