"""Tests of the LSTM over a sequence, and of the packing of cuDNN's parameters."""

import importlib
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from awd_keras.ops import lstm_cudnn
from awd_keras.ops.lstm_portable import lstm_portable
from tests.test_case import assert_close, assert_equal, plain_lstm

# The package's attribute of this name is the function.
lstm_module = importlib.import_module("awd_keras.ops.lstm")

BATCH, TIME, FEATURES, UNITS = 3, 7, 4, 5
ARGUMENTS = ("inputs", "initial_h", "initial_c", "kernel", "recurrent_kernel", "bias")
TOLERANCE = {"float64": 1e-10, "float32": 5e-6}


def make_arguments(dtype="float64", batch=BATCH, time=TIME, seed=0):
    """The six tensor arguments, in order, filled with noise."""
    generator = np.random.default_rng(seed)
    shapes = (
        (batch, time, FEATURES),
        (batch, UNITS),
        (batch, UNITS),
        (FEATURES, 4 * UNITS),
        (UNITS, 4 * UNITS),
        (4 * UNITS,),
    )
    return [tf.constant(generator.normal(size=shape), dtype) for shape in shapes]


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


def gradients_of(function, arguments):
    """The gradients of an uneven scalar of all three results, by argument."""
    weights = np.random.default_rng(9).normal(size=(BATCH, 100, UNITS))
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        outputs, final_h, final_c = function(*arguments)
        factors = tf.constant(weights[: outputs.shape[0], : outputs.shape[1]], outputs.dtype)
        loss = tf.reduce_sum(outputs * factors)
        loss += 0.7 * tf.reduce_sum(final_h**2) + 0.3 * tf.reduce_sum(tf.sin(final_c))
    return tape.gradient(loss, arguments)


def portable(*arguments, **options):
    """The operation by its portable loop."""
    return ops.lstm(*arguments, implementation="portable", **options)


class TestLstm:
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

    def test_auto_equals_portable(self):
        arguments = make_arguments("float32")
        for actual, expected in zip(ops.lstm(*arguments), portable(*arguments), strict=True):
            assert_close(actual, expected, 1e-5)

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

    @pytest.mark.parametrize("inputs_batch", [None, BATCH])
    @pytest.mark.parametrize("states_batch", [None, BATCH])
    def test_partly_known_shapes(self, inputs_batch, states_batch):
        arguments = make_arguments()
        state = tf.TensorSpec((states_batch, UNITS), tf.float64)

        @tf.function(
            input_signature=[
                tf.TensorSpec((inputs_batch, None, FEATURES), tf.float64),
                state,
                state,
            ]
        )
        def compute(inputs, h, c):
            with tf.GradientTape() as tape:
                tape.watch([inputs, h, c])
                results = ops.lstm(inputs, h, c, *arguments[3:])
                loss = tf.add_n([tf.reduce_sum(result**2) for result in results])
            return [*results, *tape.gradient(loss, [inputs, h, c])]

        results = compute(*arguments[:3])
        expected = ops.lstm(*arguments)
        for actual, reference in zip(results[:3], expected, strict=True):
            assert_close(actual, reference, 1e-12)
        assert [result.shape for result in results[3:]] == [a.shape for a in arguments[:3]]

    def test_unknown_implementation(self):
        with pytest.raises(ValueError, match="fastest"):
            ops.lstm(*make_arguments("float32"), implementation="fastest")

    @pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="a GPU is present")
    def test_cudnn_without_gpu(self):
        with pytest.raises(ValueError, match="GPU"):
            ops.lstm(*make_arguments("float32"), implementation="cudnn")

    @pytest.mark.gpu
    @pytest.mark.parametrize("time_major", [False, True])
    def test_cudnn_equals_portable(self, time_major):
        arguments = make_arguments("float32")

        def compute(implementation):
            def function(inputs, *others):
                if time_major:
                    inputs = tf.transpose(inputs, [1, 0, 2])
                outputs, final_h, final_c = ops.lstm(
                    inputs, *others, time_major=time_major, implementation=implementation
                )
                if time_major:
                    outputs = tf.transpose(outputs, [1, 0, 2])
                return outputs, final_h, final_c

            return list(function(*arguments)) + gradients_of(function, arguments)

        for actual, expected in zip(compute("cudnn"), compute("portable"), strict=True):
            assert_close(actual, expected, 1e-2)


class TestChoiceOnGPU:
    """What "auto" does where TensorFlow sees a GPU; the GPU and its kernel are stand-ins."""

    @pytest.fixture(autouse=True)
    def visible_gpu(self, monkeypatch):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
        monkeypatch.setattr(lstm_module, "_cudnn_agrees", {})

    def run_twice(self):
        arguments = make_arguments("float32")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            first = ops.lstm(*arguments)
            second = tf.function(ops.lstm)(*arguments)
        expected = ops.lstm(*arguments, implementation="portable")
        for results in (first, second):
            for actual, reference in zip(results, expected, strict=True):
                assert_close(actual, reference, 1e-6)
        return [str(warning.message) for warning in caught if "cuDNN" in str(warning.message)]

    def test_missing_operation_warns_once(self):
        (message,) = self.run_twice()
        assert "cannot run" in message and "portable loop" in message

    def test_disagreement_warns_once(self, monkeypatch):
        def wrong(*arguments, **options):
            outputs, h, c = lstm_portable(*arguments, **options)
            return outputs * 1.01, h, c

        monkeypatch.setattr(lstm_module, "lstm_cudnn", wrong)
        (message,) = self.run_twice()
        assert "differs" in message and "portable loop" in message

    def test_agreement_takes_it(self, monkeypatch):
        calls = []

        def right(*arguments, **options):
            calls.append(arguments[0].shape)
            return lstm_portable(*arguments, **options)

        monkeypatch.setattr(lstm_module, "lstm_cudnn", right)
        assert self.run_twice() == []
        # Once on numbers of its own, then for both calls: the comparison is not repeated.
        assert len(calls) == 3


class TestPackParameters:
    """The packed vector is held bit for bit to the one that Keras gives to its cuDNN operation."""

    def keras_parameters(self, monkeypatch, kernel, recurrent_kernel, bias):
        """What `keras.layers.LSTM` passes as `params`, traced as if there were a GPU."""
        captured = []

        def spy(**arguments):
            captured.append(arguments["params"])
            inputs, initial_h, initial_c = (
                arguments[name] for name in ("input", "input_h", "input_c")
            )
            outputs = tf.zeros(tf.concat([tf.shape(inputs)[:2], [UNITS]], axis=0))
            return outputs, initial_h, initial_c, tf.zeros((0,)), tf.zeros((0,), "int8")

        layer = keras.layers.LSTM(UNITS, return_sequences=True)
        layer.build((BATCH, TIME, FEATURES))
        layer.set_weights([kernel, recurrent_kernel, bias])
        with monkeypatch.context() as patch:
            patch.setattr(
                tf.config,
                "list_logical_devices",
                lambda device_type=None: [tf.config.LogicalDevice("/device:GPU:0", "GPU")],
            )
            patch.setattr(tf.raw_ops, "CudnnRNNV3", spy)
            layer(tf.zeros((BATCH, TIME, FEATURES)))
        assert len(captured) == 1
        return captured[0].numpy()

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("traced", [False, True])
    def test_equals_keras_bit_for_bit(self, monkeypatch, masked, traced):
        kernel, recurrent_kernel, bias = make_arguments("float32")[3:]
        if masked:
            keep = np.random.default_rng(3).random(recurrent_kernel.shape) >= 0.5
            recurrent_kernel *= tf.constant(keep, "float32") / 0.5
        expected = self.keras_parameters(monkeypatch, kernel, recurrent_kernel, bias)
        pack = lstm_cudnn.pack_parameters
        actual = (tf.function(pack) if traced else pack)(kernel, recurrent_kernel, bias)
        assert expected.shape == (4 * UNITS * (FEATURES + UNITS + 2),)
        assert_equal(actual, expected)

    def test_gradient_reaches_each_weight_once(self):
        weights = make_arguments("float32")[3:]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = tf.reduce_sum(lstm_cudnn.pack_parameters(*weights))
        for gradient in tape.gradient(loss, weights):
            assert_equal(gradient, np.ones(gradient.shape))
