"""Tests of the QRNN: its numbers, gradients, shapes and precision, as a loop and as a scan."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_all_close, assert_close, assert_equal

BATCH, TIME, FEATURES, UNITS = 3, 7, 4, 5
IMPLEMENTATIONS = ("loop", "scan")
# A hole, padding on the right, and no steps at all.
MASK = np.array([[0, 1, 1, 0, 1, 0, 1], [1, 1, 1, 1, 0, 0, 0], [0] * 7], bool)


def make_arguments(window=2, dtype="float64", time=TIME, gates=3):
    """Returns inputs, initial c, kernel, bias and, for a window of 2, initial x."""
    shapes = [(BATCH, time, FEATURES), (BATCH, UNITS), (window * FEATURES, gates * UNITS)]
    shapes += [(gates * UNITS,), (BATCH, FEATURES)][:window]
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=shape) for shape in shapes]
    state_dtype = "float64" if dtype == "float64" else "float32"
    dtypes = [dtype, state_dtype, dtype, dtype, state_dtype]
    return [tf.cast(array, to) for array, to in zip(arrays, dtypes, strict=False)]


def qrnn(inputs, c, kernel, bias, x=None, **options):
    return ops.qrnn(inputs, c, kernel, bias, initial_x=x, **options)


def results_and_gradients(arguments, **options):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        results = qrnn(*arguments, **options)
        weights = tf.random.stateless_normal(tf.shape(results[0]), (1, 2), dtype=tf.float64)
        loss = tf.reduce_sum(tf.cast(results[0], tf.float64) * weights)
        loss += tf.reduce_sum(tf.cast(results[1], tf.float64) ** 2)
    return [*results, *tape.gradient(loss, arguments)]


def numpy_qrnn(inputs, c, kernel, bias, x=None, mask=None, output_gate=True, keep=1.0):
    """Computes the QRNN of the authors' pytorch-qrnn, row by row and step by step."""

    def sigmoid(values):
        return 1.0 / (1.0 + np.exp(-values))

    outputs, c, x = np.zeros((*inputs.shape[:2], c.shape[1])), c.copy(), np.copy(x)
    for row in range(inputs.shape[0]):
        for step in range(inputs.shape[1]):
            if mask is not None and not mask[row, step]:
                outputs[row, step] = outputs[row, step - 1] if step else 0.0
                continue
            source = inputs[row, step]
            if len(kernel) > len(source):
                source = np.concatenate([source, x[row]])
                x[row] = inputs[row, step]
            z, f, *o = np.split(source @ kernel + bias, 3 if output_gate else 2)
            f = keep * sigmoid(f)
            c[row] = f * np.tanh(z) + (1.0 - f) * c[row]
            outputs[row, step] = sigmoid(o[0]) * c[row] if output_gate else c[row]
    return outputs, c, x


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_equals_numpy(window, mask, implementation):
    arguments = make_arguments(window)
    expected = numpy_qrnn(*(x.numpy() for x in arguments), mask=mask)
    options = {"mask": mask, "implementation": implementation}
    for actual, value in zip(qrnn(*arguments, **options), expected, strict=False):
        assert_close(actual, value, 1e-12)
    arguments[0] = tf.transpose(arguments[0], (1, 0, 2))
    options["mask"] = None if mask is None else mask.T
    turned = qrnn(*arguments, time_major=True, **options)[0]
    assert_close(tf.transpose(turned, (1, 0, 2)), expected[0], 1e-12)


def test_without_output_gate_and_with_zoneout():
    arguments = make_arguments(gates=2)
    expected = numpy_qrnn(*(x.numpy() for x in arguments), output_gate=False, keep=0.7)
    assert_all_close(qrnn(*arguments, output_gate=False, zoneout=0.3), expected, 1e-12)
    # An update gate of nearly 1 and a candidate of nearly 1: an entry is kept, or it becomes 1.
    ones, bias = tf.ones((2, 50, UNITS)), tf.repeat([100.0, 100.0], UNITS)
    seed = tf.constant([1, 2])
    outputs = ops.qrnn(
        *(ones, tf.zeros((2, UNITS)), tf.zeros((UNITS, 2 * UNITS)), bias),
        output_gate=False,
        zoneout=0.3,
        zoneout_seed=seed,
    )[0]
    first = outputs[:, 0].numpy()
    assert set(np.unique(outputs)) == {0.0, 1.0} and 0.2 < np.mean(first) < 1.0
    assert_equal(outputs[:, -1], tf.ones((2, UNITS)))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window", [1, 2])
def test_gradients_equal_finite_differences(window, implementation):
    def loss(*arguments):
        outputs, c, *_ = qrnn(*arguments, implementation=implementation)
        return tf.reduce_sum(tf.sin(outputs)) + tf.reduce_sum(c**2)

    arguments = make_arguments(window, time=3)
    assert_all_close(*tf.test.compute_gradient(loss, arguments, 1e-5), 1e-7)


def test_scan_equals_loop_in_float32_for_any_sizes():
    spec = tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, UNITS))
    _, _, *weights, x = make_arguments(dtype="float32")
    calls = {
        name: tf.function(
            lambda inputs, c, name=name: results_and_gradients(
                [inputs, c, *weights, x], implementation=name
            ),
            input_signature=spec,
        )
        for name in IMPLEMENTATIONS
    }
    for time in (1, 2, 70):
        inputs, c, *_ = make_arguments(dtype="float32", time=time)
        loop, scan = (calls[name](inputs, c) for name in IMPLEMENTATIONS)
        assert_all_close(scan, loop, 1e-6 if time < 70 else 3e-6)
    graphs = [calls["scan"].get_concrete_function().graph]
    graphs.append(
        tf.function(qrnn)
        .get_concrete_function(*make_arguments(dtype="float32", time=1), implementation="loop")
        .graph
    )
    for graph in graphs:
        assert not [op for op in graph.get_operations() if "While" in op.type]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bfloat16(implementation):
    actual = results_and_gradients(make_arguments(dtype="bfloat16"), implementation=implementation)
    expected = results_and_gradients(make_arguments(), implementation=implementation)
    assert [x.dtype for x in actual[:3]] == ["bfloat16", "float32", "float32"]
    assert_all_close(actual, expected, 0.05)


def test_refuses_implementations():
    with pytest.raises(ValueError, match='must be "auto", "loop" or "scan"'):
        qrnn(*make_arguments(), implementation="cudnn")
