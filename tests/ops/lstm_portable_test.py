"""Tests of the portable LSTM kernel: its numbers, gradients, shapes and precision."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_all_close, plain_lstm

BATCH, TIME, FEATURES, UNITS = 3, 7, 4, 5
TOLERANCE = {"float64": 1e-10, "float32": 5e-6}


def make_arguments(dtype="float64", batch=BATCH, time=TIME):
    """Returns the six tensor arguments of `ops.lstm`; states are never in half precision."""
    generator = np.random.default_rng(0)
    state_dtype = "float64" if dtype == "float64" else "float32"
    weights = [(FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
    shapes = [(batch, time, FEATURES), (batch, UNITS), (batch, UNITS), *weights]
    dtypes = [dtype, state_dtype, state_dtype, dtype, dtype, dtype]
    arrays = [generator.normal(size=shape) for shape in shapes]
    return [tf.cast(array, to) for array, to in zip(arrays, dtypes, strict=True)]


def gradients_of(function, arguments):
    """Returns the gradients of a scalar in which each output has its own weight."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs, h, c = (tf.cast(result, tf.float64) for result in function(*arguments))
        weights = tf.random.stateless_normal(tf.shape(outputs), (1, 2), dtype=tf.float64)
        loss = tf.reduce_sum(outputs * weights)
        loss += 0.7 * tf.reduce_sum(h**2) + 0.3 * tf.reduce_sum(tf.sin(c))
    return tape.gradient(loss, arguments)


def portable(*arguments, **options):
    return ops.lstm(*arguments, implementation="portable", **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("time", [1, TIME])
@pytest.mark.parametrize("training", [False, True])
def test_gradients_equal_automatic_differentiation(dtype, time, training):
    arguments = make_arguments(dtype, time=time)
    expected = gradients_of(plain_lstm, arguments)

    @tf.function
    def compute(*arguments):
        return gradients_of(lambda *a: portable(*a, training=training), arguments)

    assert_all_close(compute(*arguments), expected, TOLERANCE[dtype])


def test_unknown_batch_and_time_trace_once():
    traces, weights = [], make_arguments("float32")[3:]
    state = tf.TensorSpec((None, UNITS))

    @tf.function(input_signature=[tf.TensorSpec((None, None, FEATURES)), state, state])
    def compute(*arguments):
        traces.append(1)
        return [*portable(*arguments, *weights), *gradients_of(portable, [*arguments, *weights])]

    for batch, time in ((3, 7), (1, 1), (2, 4)):
        arguments = make_arguments("float32", batch, time)[:3] + weights
        expected = [*plain_lstm(*arguments), *gradients_of(plain_lstm, arguments)]
        assert_all_close(compute(*arguments[:3]), expected, 1e-5)
    assert len(traces) == 1


def test_one_step_runs_no_loop():
    concrete = tf.function(portable).get_concrete_function(
        *make_arguments("float32", time=1), training=False
    )
    assert not [op for op in concrete.graph.get_operations() if "While" in op.type]


def test_bfloat16():
    arguments, exact = make_arguments("bfloat16"), make_arguments("float32")
    results = portable(*arguments)
    assert [result.dtype for result in results] == ["bfloat16", "float32", "float32"]
    assert_all_close(results, plain_lstm(*exact), 0.05)
    gradients = gradients_of(portable, arguments)
    expected = gradients_of(plain_lstm, exact)
    assert [gradient.dtype for gradient in gradients] == [x.dtype for x in arguments]
    assert_all_close(gradients, expected, 0.1)


def test_saturated_gates_stay_finite():
    arguments = make_arguments("float32")
    arguments[0] *= 1e4
    for tensor in [*portable(*arguments), *gradients_of(portable, arguments)]:
        assert np.all(np.isfinite(tensor))


@pytest.mark.parametrize("time", [1, TIME])
def test_constant_weights(time):
    *states, kernel, recurrent_kernel, bias = (x.numpy() for x in make_arguments(time=time))

    @tf.function
    def infer(*states):
        weights = tf.constant(kernel), tf.constant(recurrent_kernel), tf.constant(bias)
        return portable(*states, *weights, training=False)

    expected = plain_lstm(*states, kernel, recurrent_kernel, bias)
    assert_all_close(infer(*states), expected, 1e-10)
    graph = infer.get_concrete_function(*states).graph.as_graph_def()
    bodies = [function for function in graph.library.function if "body" in function.signature.name]
    for body in bodies:  # where oneDNN keeps a constant matrix packed
        shapes = [node.attr["value"].tensor.tensor_shape for node in body.node_def]
        assert [UNITS, 4 * UNITS] in [[dim.size for dim in shape.dim] for shape in shapes]
    assert len(bodies) == (time > 1)
