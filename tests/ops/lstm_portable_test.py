"""Tests of the LSTM as TensorFlow loops: its numbers, gradients, shapes and precisions."""

import numpy as np
import pytest
import tensorflow as tf

from tests.ops.lstm_cases import (
    ARGUMENTS,
    BATCH,
    FEATURES,
    TIME,
    TOLERANCE,
    UNITS,
    gradients_of,
    make_arguments,
    portable,
)
from tests.test_case import assert_close, plain_lstm


def numpy_lstm(inputs, initial_h, initial_c, kernel, recurrent_kernel, bias):
    """The equations in NumPy, without a framework."""

    def sigmoid(values):
        return 1.0 / (1.0 + np.exp(-values))

    hidden, cell, outputs = initial_h, initial_c, []
    for step in range(inputs.shape[1]):
        gates = inputs[:, step] @ kernel + hidden @ recurrent_kernel + bias
        input_gate, forget_gate, candidate, output_gate = np.split(gates, 4, axis=-1)
        cell = sigmoid(forget_gate) * cell + sigmoid(input_gate) * np.tanh(candidate)
        hidden = sigmoid(output_gate) * np.tanh(cell)
        outputs.append(hidden)
    return np.stack(outputs, axis=1), hidden, cell


class TestLstmPortable:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("time", [1, 2, TIME])
    @pytest.mark.parametrize("batch", [1, BATCH])
    def test_equals_numpy(self, dtype, time, batch):
        arguments = make_arguments(dtype, batch, time)
        expected = numpy_lstm(*[x.numpy() for x in make_arguments("float64", batch, time)])
        results = portable(*arguments)
        assert len(results) == 3
        for actual, value in zip(results, expected, strict=True):
            assert actual.dtype == dtype
            assert_close(actual, value, TOLERANCE[dtype])

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("time", [1, TIME])
    @pytest.mark.parametrize("traced", [False, True])
    def test_gradients_equal_autodiff_of_plain_loop(self, dtype, time, traced):
        arguments = make_arguments(dtype, time=time)
        expected = gradients_of(plain_lstm, arguments)

        def compute(*arguments):
            return gradients_of(portable, list(arguments))

        actual = (tf.function(compute) if traced else compute)(*arguments)
        for name, gradient, value in zip(ARGUMENTS, actual, expected, strict=True):
            assert_close(gradient, value, TOLERANCE[dtype], name)

    @pytest.mark.parametrize("chosen", [0, 1, 2])
    def test_gradient_of_each_result_alone(self, chosen):
        arguments = make_arguments()

        def gradient(function):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                loss = tf.reduce_sum(tf.sin(function(*arguments)[chosen]))
            return tape.gradient(loss, arguments)

        for name, actual, expected in zip(
            ARGUMENTS, gradient(portable), gradient(plain_lstm), strict=True
        ):
            assert_close(actual, expected, 1e-10, name)

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_time_major(self, dtype):
        arguments = make_arguments(dtype)

        def time_major(inputs, *others):
            outputs, final_h, final_c = portable(
                tf.transpose(inputs, [1, 0, 2]), *others, time_major=True
            )
            assert outputs.shape == (TIME, BATCH, UNITS)
            return tf.transpose(outputs, [1, 0, 2]), final_h, final_c

        for actual, expected in zip(time_major(*arguments), plain_lstm(*arguments), strict=True):
            assert_close(actual, expected, TOLERANCE[dtype])
        for name, actual, expected in zip(
            ARGUMENTS,
            gradients_of(time_major, arguments),
            gradients_of(plain_lstm, arguments),
            strict=True,
        ):
            assert_close(actual, expected, TOLERANCE[dtype], name)

    def test_accepts_variables(self):
        inputs, initial_h, initial_c, *weights = make_arguments("float32")
        variables = [tf.Variable(weight) for weight in weights]
        with tf.GradientTape() as tape:
            outputs, _, _ = portable(inputs, initial_h, initial_c, *variables)
            loss = tf.reduce_sum(outputs)
        gradients = tape.gradient(loss, variables)
        assert [x.shape for x in gradients] == [x.shape for x in variables]

    def test_unknown_batch_and_time_trace_once(self):
        traces = []
        weights = make_arguments("float32")[3:]

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None, FEATURES)),
                tf.TensorSpec((None, UNITS)),
                tf.TensorSpec((None, UNITS)),
            ]
        )
        def compute(inputs, initial_h, initial_c):
            traces.append(1)
            arguments = [inputs, initial_h, initial_c, *weights]
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                results = portable(*arguments)
                loss = tf.reduce_sum(results[0] ** 2) + tf.reduce_sum(results[2])
            return results, tape.gradient(loss, arguments)

        for batch, time in ((3, 7), (1, 1), (2, 4)):
            arguments = make_arguments("float32", batch, time)[:3] + weights
            results, gradients = compute(*arguments[:3])
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                expected = plain_lstm(*arguments)
                loss = tf.reduce_sum(expected[0] ** 2) + tf.reduce_sum(expected[2])
            for actual, value in zip(results, expected, strict=True):
                assert_close(actual, value, 1e-5)
            for name, actual, value in zip(
                ARGUMENTS, gradients, tape.gradient(loss, arguments), strict=True
            ):
                assert_close(actual, value, 1e-5, name)
        assert len(traces) == 1

    def test_static_shapes_survive_tracing(self):
        arguments = make_arguments("float32")
        concrete = tf.function(portable).get_concrete_function(*arguments)
        shapes = [x.shape.as_list() for x in concrete.outputs]
        assert shapes == [[BATCH, TIME, UNITS], [BATCH, UNITS], [BATCH, UNITS]]

    @pytest.mark.parametrize("traced", [False, True])
    def test_bfloat16(self, traced):
        exact = make_arguments("float32")
        inputs, initial_h, initial_c, *weights = exact
        # The carried state stays in float32; only the computation is in half precision.
        arguments = [tf.cast(inputs, "bfloat16"), initial_h, initial_c]
        arguments += [tf.cast(weight, "bfloat16") for weight in weights]
        outputs, final_h, final_c = (tf.function(portable) if traced else portable)(*arguments)
        assert outputs.dtype == "bfloat16"
        assert final_h.dtype == final_c.dtype == "float32"
        expected = plain_lstm(*exact)
        for actual, value in zip((outputs, final_h, final_c), expected, strict=True):
            assert np.all(np.isfinite(tf.cast(actual, "float32")))
            assert_close(actual, value, 0.05)

    def test_bfloat16_gradients(self):
        exact = make_arguments("float32")
        inputs, initial_h, initial_c, *weights = exact
        arguments = [tf.cast(inputs, "bfloat16"), initial_h, initial_c]
        arguments += [tf.cast(weight, "bfloat16") for weight in weights]

        def gradient(function, arguments):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                outputs, final_h, final_c = function(*arguments)
                loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 2)
                loss += tf.reduce_sum(final_h) + tf.reduce_sum(final_c)
            return tape.gradient(loss, arguments)

        for name, argument, actual, expected in zip(
            ARGUMENTS,
            arguments,
            gradient(portable, arguments),
            gradient(plain_lstm, exact),
            strict=True,
        ):
            assert actual.dtype == argument.dtype, name
            assert_close(actual, expected, 0.1, name)

    def test_bfloat16_state_is_carried_in_float32(self):
        # With an open forget gate and a closed input gate the cell only passes through; a value
        # that bfloat16 cannot hold must come out as it went in.
        kernel = tf.zeros((FEATURES, 4 * UNITS), "bfloat16")
        recurrent_kernel = tf.zeros((UNITS, 4 * UNITS), "bfloat16")
        bias = tf.cast(tf.repeat([-100.0, 100.0, 0.0, 0.0], UNITS), "bfloat16")
        initial_c = tf.fill((1, UNITS), 1.0 + 2.0**-12)
        inputs = tf.zeros((1, 3, FEATURES), "bfloat16")
        arguments = (inputs, tf.zeros((1, UNITS)), initial_c, kernel, recurrent_kernel, bias)
        _, _, final_c = portable(*arguments)
        assert_close(final_c, initial_c, 1e-6)

    def test_float64_finals(self):
        outputs, final_h, final_c = portable(*make_arguments("float64"))
        assert outputs.dtype == final_h.dtype == final_c.dtype == "float64"

    def test_saturated_gates_stay_finite(self):
        arguments = make_arguments("float32")
        arguments[0] *= 1e4
        for result in portable(*arguments):
            assert np.all(np.isfinite(result))
        for gradient in gradients_of(portable, arguments):
            assert np.all(np.isfinite(gradient))

    def test_state_carried_over_windows_equals_one_window(self):
        inputs, initial_h, initial_c, *weights = make_arguments()
        whole = portable(inputs, initial_h, initial_c, *weights)
        first = portable(inputs[:, :3], initial_h, initial_c, *weights)
        second = portable(inputs[:, 3:], *first[1:], *weights)
        assert_close(tf.concat([first[0], second[0]], axis=1), whole[0], 1e-12)
        assert_close(second[1], whole[1], 1e-12)
        assert_close(second[2], whole[2], 1e-12)

    @pytest.mark.parametrize("time_major", [False, True])
    def test_lengths_freeze_the_state_of_shorter_rows(self, time_major):
        arguments = make_arguments()
        lengths = [TIME, 3, 1]

        def padded(inputs, *others):
            if time_major:
                inputs = tf.transpose(inputs, [1, 0, 2])
            _, final_h, final_c = portable(
                inputs, *others, lengths=tf.constant(lengths), time_major=time_major
            )
            return final_h, final_c

        def row_by_row(inputs, initial_h, initial_c, *weights):
            finals = [
                plain_lstm(
                    inputs[row : row + 1, :length],
                    initial_h[row : row + 1],
                    initial_c[row : row + 1],
                    *weights,
                )[1:]
                for row, length in enumerate(lengths)
            ]
            return [tf.concat(parts, axis=0) for parts in zip(*finals, strict=True)]

        def gradients(function):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                final_h, final_c = function(*arguments)
                loss = tf.reduce_sum(final_h**2) + tf.reduce_sum(tf.sin(final_c))
            return tape.gradient(loss, arguments)

        for actual, expected in zip(padded(*arguments), row_by_row(*arguments), strict=True):
            assert_close(actual, expected, 1e-10)
        for name, actual, expected in zip(
            ARGUMENTS, gradients(padded), gradients(row_by_row), strict=True
        ):
            assert_close(actual, expected, 1e-10, name)
