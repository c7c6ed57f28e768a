"""Tests of the LSTM over a sequence: which kernel runs, and that the kernels agree."""

import importlib
import warnings

import pytest
import tensorflow as tf

from awd_keras import ops
from awd_keras.ops.lstm_portable import lstm_portable
from tests.ops.lstm_cases import BATCH, FEATURES, UNITS, gradients_of, make_arguments, portable
from tests.test_case import assert_close

# The package's attribute of this name is the function.
lstm_module = importlib.import_module("awd_keras.ops.lstm")


class TestLstm:
    def test_auto_equals_portable(self):
        arguments = make_arguments("float32")
        for actual, expected in zip(ops.lstm(*arguments), portable(*arguments), strict=True):
            assert_close(actual, expected, 1e-5)

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
