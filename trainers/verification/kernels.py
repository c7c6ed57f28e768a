"""Every LSTM kernel of this machine against another: outputs, final states, all gradients.

The measure is the plain loop in float64, from the same rounded numbers: what is left is what the
kernel's own precision costs.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from awd_keras import ops
from trainers.verification.check import Check, measured
from trainers.verification.comparison import worst
from trainers.verification.device import NO_GPU, has_gpu
from trainers.verification.plain_lstm import plain_lstm
from trainers.verification.precision import tensor_float_32

BATCH_SIZE, FEATURES, UNITS = 4, 12, 24
_NAMES = (
    "outputs",
    "final h",
    "final c",
    "gradient by inputs",
    "by initial h",
    "by initial c",
    "by kernel",
    "by recurrent kernel",
    "by bias",
)

PORTABLE_LIMITS = {"float64": 1e-11, "float32": 2e-5, "bfloat16": 5e-2}
# Keras keeps its states in bfloat16.
KERAS_LIMITS = {"float64": 1e-11, "float32": 2e-5, "bfloat16": 1e-1}
CUDNN_LIMITS = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 5e-2, "float16": 2e-2}
CUDNN_TF32_LIMIT = 1e-2


@dataclasses.dataclass(frozen=True)
class Case:
    """Windows that one traced function reads one after another, the state carried.

    Args:
        name: for people.
        windows: the time steps of each.
        lengths: None, or for each window the length of each row.
    """

    name: str
    windows: tuple
    lengths: tuple | None = None


WINDOWS = Case("windows", (7, 1, 12, 7, 3))
# Full rows first: some kernels remember what they saw for a shape.
LENGTHS = Case("lengths", (6, 6, 6), ((6, 6, 6, 6), (6, 4, 1, 2), (1, 6, 5, 6)))
EMPTY_ROWS = Case("empty rows", (6, 6), ((6, 0, 3, 1), (0, 6, 0, 2)))
CASES = (WINDOWS, LENGTHS, EMPTY_ROWS)
KERAS_CASES = (WINDOWS, LENGTHS)


def random_arguments(dtype, timesteps):
    """Noise for an LSTM, half of its recurrent matrix dropped.

    Args:
        dtype: of the products. States are float32, or float64 for float64.
        timesteps: of the inputs.

    Returns:
        list of inputs (batch_size, timesteps, features), initial h and c, kernel, recurrent
        kernel and bias.
    """
    generator = np.random.default_rng(13)
    shapes = [(BATCH_SIZE, timesteps, FEATURES), (BATCH_SIZE, UNITS), (BATCH_SIZE, UNITS)]
    shapes += [(FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
    arrays = [generator.normal(size=shape, scale=0.4) for shape in shapes]
    arrays[4] *= 2.0 * (generator.random(shapes[4]) < 0.5)
    state_dtype = "float64" if dtype == "float64" else "float32"
    dtypes = [dtype, state_dtype, state_dtype, dtype, dtype, dtype]
    return [tf.cast(tf.constant(a), to) for a, to in zip(arrays, dtypes, strict=True)]


def run_windows(lstm, arguments, case, traced=True):
    """Reads the windows of a case, and takes the gradient of an uneven sum in each.

    Args:
        lstm: function of the six arguments and `lengths`, which returns outputs and final states.
        arguments: what `random_arguments` returns, for the sum of the windows.
        case: a `Case`.
        traced: whether in one `tf.function` for batches and windows of every size. It is made
            here, since kernels of a graph keep settings such as TF32.

    Returns:
        list of dictionaries of tensors, one for each window.
    """
    inputs, h, c, *weights = arguments
    factors = tf.random.stateless_normal((max(case.windows), UNITS), (1, 2), dtype=tf.float64)

    def window(inputs, h, c, *lengths):
        sources = [inputs, h, c, *weights]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            results = lstm(*sources, lengths=lengths[0] if lengths else None)
            outputs, final_h, final_c = (tf.cast(result, tf.float64) for result in results)
            loss = tf.reduce_sum(outputs * factors[: tf.shape(outputs)[1]])
            loss += 0.7 * tf.reduce_sum(final_h**2) + 0.3 * tf.reduce_sum(tf.sin(final_c))
        return dict(zip(_NAMES, [*results, *tape.gradient(loss, sources)], strict=True))

    if traced:
        state = tf.TensorSpec((None, UNITS), h.dtype)
        signature = [tf.TensorSpec((None, None, FEATURES), inputs.dtype), state, state]
        if case.lengths is not None:
            signature.append(tf.TensorSpec((None,), tf.int32))
        window = tf.function(window, input_signature=signature)
    windows, start = [], 0
    for index, timesteps in enumerate(case.windows):
        lengths = [] if case.lengths is None else [tf.constant(case.lengths[index])]
        windows.append(window(inputs[:, start : start + timesteps], h, c, *lengths))
        h, c = (tf.cast(windows[-1][f"final {x}"], h.dtype) for x in ("h", "c"))
        start += timesteps
    return windows


def compare_kernels(lstm, other, dtype, cases):
    """What two kernels make of the same numbers.

    Args:
        lstm: the kernel that is checked, as `run_windows` takes it.
        other: the one that it is measured by; None for the plain loop in float64.
        dtype: of the products.
        cases: `Case`s.

    Returns:
        list of (name, tensor, expected tensor).
    """
    comparisons = []
    for case in cases:
        arguments = random_arguments(dtype, sum(case.windows))
        results = run_windows(lstm, arguments, case)
        if other is None:
            exact = [tf.cast(argument, tf.float64) for argument in arguments]
            expected = run_windows(plain_lstm, exact, case, traced=False)
        else:
            expected = run_windows(other, arguments, case)
        for index, (result, measure) in enumerate(zip(results, expected, strict=True)):
            for name in _NAMES:
                where = f"{case.name} {index + 1}, {name}"
                comparisons.append((where, result[name], measure[name]))
    return comparisons


def library_lstm(implementation, training=True):
    """The library's operation with one of its kernels, as `run_windows` takes it.

    Args:
        implementation, training: of `ops.lstm`; `training` for inference.
    """

    def lstm(*arguments, lengths):
        return ops.lstm(
            *arguments, lengths=lengths, implementation=implementation, training=training
        )

    return lstm


def keras_lstm(dtype):
    """`keras.layers.LSTM` with its weights as arguments, as `run_windows` takes it.

    Args:
        dtype: of the products.
    """
    policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
    layer = keras.layers.LSTM(
        UNITS, return_sequences=True, return_state=True, use_cudnn=False, dtype=policy
    )
    layer.build((None, None, FEATURES))
    others = [variable.value for variable in layer.non_trainable_variables]

    def lstm(inputs, h, c, *weights, lengths):
        mask = None if lengths is None else tf.sequence_mask(lengths, tf.shape(inputs)[1])
        weights = [tf.cast(weight, layer.variable_dtype) for weight in weights]
        states = [tf.cast(state, layer.compute_dtype) for state in (h, c)]
        results, _ = layer.stateless_call(weights, others, inputs, initial_state=states, mask=mask)
        return results

    return lstm


def check_kernels():
    """Compares the kernels with the plain loop, and the portable one with Keras's layer.

    Yields:
        `Check`s.
    """

    def check(name, limit, dtype, measure, tf32=False):
        def worst_of_all():
            with tensor_float_32(tf32):
                return worst(measure())

        return measured(_title(name, dtype, tf32), limit, worst_of_all)

    def by_plain_loop(implementation, dtype):
        comparisons = []
        for mode, training in (("training", True), ("inference", False)):
            lstm = library_lstm(implementation, training)
            some = compare_kernels(lstm, None, dtype, CASES)
            comparisons += [(f"{mode}, {name}", *tensors) for name, *tensors in some]
        return comparisons

    def by_keras(dtype):
        portable = library_lstm("portable")
        return compare_kernels(portable, keras_lstm(dtype), dtype, KERAS_CASES)

    for dtype, limit in PORTABLE_LIMITS.items():
        yield check("portable", limit, dtype, lambda d=dtype: by_plain_loop("portable", d))
    for dtype, limit in KERAS_LIMITS.items():
        yield check("portable, keras.layers.LSTM", limit, dtype, lambda d=dtype: by_keras(d))
    precisions = [(dtype, limit, False) for dtype, limit in CUDNN_LIMITS.items()]
    for dtype, limit, tf32 in [*precisions, ("float32", CUDNN_TF32_LIMIT, True)]:
        if has_gpu():
            yield check("cuDNN", limit, dtype, lambda d=dtype: by_plain_loop("cudnn", d), tf32)
        else:
            yield Check(_title("cuDNN", dtype, tf32), None, limit, NO_GPU, skipped=True)


def _title(name, dtype, tf32):
    return f"LSTM, {dtype}{' by TF32' if tf32 else ''}: {name}"
