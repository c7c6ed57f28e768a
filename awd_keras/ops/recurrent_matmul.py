"""The matmul of few rows by a recurrent matrix, in the form that is fastest on a processor.

A form computes `x @ matrix` as

- `"direct"`: `x @ matrix`
- `"transposed"`: `x @ copy^T`, where `copy` is the transposed matrix
- `"swapped"`: `(copy @ x^T)^T`
- `"swapped_transposed"`: `(matrix^T @ x^T)^T`

BLAS libraries differ in which of them they run fastest, by up to 1.5 times, depending on the
processor, the dtype and the number of rows. Results differ by rounding.
"""

import statistics
import time
from typing import NamedTuple

import tensorflow as tf

FORMS = ("direct", "transposed", "swapped", "swapped_transposed")

# A form replaces the default one if it is this much faster; smaller differences may be noise.
_MIN_GAIN = 1.15
_MEASURED_SECONDS = 0.7  # per matmul
_MIN_ROUNDS = 5
_TIME_STEPS = 4


class Forms(NamedTuple):
    """The forms of the matmuls of a recurrent layer.

    Attributes:
        forward: The form of `h @ recurrent_kernel`.
        backward: The form of `dz @ recurrent_kernel^T`.
    """

    forward: str
    backward: str


def default_forms(dtype):
    """Returns the `Forms` that are fastest on most of the processors measured."""
    # Matmuls in bfloat16 read rows faster than columns.
    if dtype == tf.bfloat16:
        return Forms("transposed", "transposed")
    return Forms("direct", "direct")


def matmul_by(matrix, transpose, form):
    """Returns `x -> x @ matrix`, or `x -> x @ matrix^T` if `transpose`, for use in a loop."""
    is_swapped = form.startswith("swapped")
    reads_copy = form in ("transposed", "swapped")
    operand = matrix if reads_copy == transpose else tf.transpose(matrix)
    if is_swapped:
        return lambda x: tf.transpose(
            tf.matmul(operand, x, transpose_a=not reads_copy, transpose_b=True)
        )
    return lambda x: tf.matmul(x, operand, transpose_b=reads_copy)


def fastest_forms(units, batch_size, dtype):
    """Measures the matmuls of an LSTM on this machine, which takes one or two seconds.

    Args:
        units: Units of the LSTM.
        batch_size: Rows of the matmuls.
        dtype: Dtype of the matmuls.

    Returns:
        The fastest `Forms`; the default ones unless others are clearly faster.
    """
    dtype = tf.as_dtype(dtype)
    matrix = tf.cast(tf.random.stateless_uniform((units, 4 * units), (0, 0), -0.1, 0.1), dtype)
    chosen = []
    for default, transpose in zip(default_forms(dtype), (False, True), strict=True):
        x = tf.cast(tf.fill((batch_size, 4 * units if transpose else units), 0.1), dtype)
        loops = {form: _product_loop(matrix, transpose, form) for form in FORMS}
        gains = _median_gains(loops, default, x)
        fastest = max(gains, key=gains.get)
        chosen.append(fastest if gains[fastest] > _MIN_GAIN else default)
    return Forms(*chosen)


def _product_loop(matrix, transpose, form):
    """Returns a function that multiplies its argument by the matrix in each step of a loop."""
    # A transposed copy is made here, once: a window has many more steps than this loop.
    multiply = matmul_by(matrix, transpose, form)

    @tf.function
    def run(x):
        def step(t, total):
            # The product must depend on the step, or it could be moved out of the loop.
            return t + 1, total + multiply(x * tf.cast(t, x.dtype))[:, : matrix.shape[0]]

        zeros = tf.zeros((x.shape[0], matrix.shape[0]), x.dtype)
        return tf.while_loop(lambda t, _: t < _TIME_STEPS, step, (0, zeros))[1]

    return run


def _median_gains(functions, default, x):
    """Returns how many times as fast as the default each function is, while they take turns."""

    def seconds(function):
        start = time.perf_counter()
        function(x)[0, 0].numpy()
        return time.perf_counter() - start

    rounds = []
    end = time.perf_counter() + _MEASURED_SECONDS
    while len(rounds) <= _MIN_ROUNDS or time.perf_counter() < end:
        rounds.append({name: seconds(function) for name, function in functions.items()})
    # The first round includes tracing. Load changes from round to round, but less within one.
    return {
        name: statistics.median(times[default] / times[name] for times in rounds[1:])
        for name in functions
    }
