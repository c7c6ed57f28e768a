"""Tests of the LSTM over a sequence: masks, layouts and the choice of the kernel."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from awd_keras.ops.lstm_portable import lstm_portable
from tests.ops.lstm_portable_test import BATCH, FEATURES, TIME, UNITS, gradients_of, make_arguments
from tests.test_case import assert_all_close, assert_all_equal, assert_equal, plain_lstm

# The attribute of this name of the package is the function.
lstm_module = importlib.import_module("awd_keras.ops.lstm")

# Padded on the right, on the left with a hole, and everywhere.
MASK = np.array([[1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0]], bool)


class TestLstm:
    @pytest.mark.parametrize("time_major", [False, True])
    @pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
    @pytest.mark.parametrize("training", [False, True])
    def test_equals_plain_loop(self, time_major, mask, training):
        arguments = make_arguments()

        def compute(inputs, *others):
            if not time_major:
                return ops.lstm(inputs, *others, mask=mask, training=training)
            outputs, *states = ops.lstm(
                tf.transpose(inputs, [1, 0, 2]),
                *others,
                mask=None if mask is None else mask.T,
                time_major=True,
                training=training,
            )
            return tf.transpose(outputs, [1, 0, 2]), *states

        def plain(*arguments):
            return plain_lstm(*arguments, mask=mask)

        results = tf.function(compute)(*arguments)
        assert_all_close(results, plain(*arguments), 1e-12)
        gradients = tf.function(lambda *a: gradients_of(compute, a))(*arguments)
        assert_all_close(gradients, gradients_of(plain, arguments), 1e-10)

    @pytest.mark.parametrize("inputs_batch", [None, BATCH])
    @pytest.mark.parametrize("states_batch", [None, BATCH])
    def test_partly_known_shapes(self, inputs_batch, states_batch):
        arguments = make_arguments()
        state = tf.TensorSpec((states_batch, UNITS), tf.float64)
        inputs = tf.TensorSpec((inputs_batch, None, FEATURES), tf.float64)

        @tf.function(input_signature=[inputs, state, state])
        def compute(*some):
            return ops.lstm(*some, *arguments[3:])

        assert_all_equal(compute(*arguments[:3]), ops.lstm(*arguments))

    def test_static_shapes(self):
        concrete = tf.function(ops.lstm).get_concrete_function(*make_arguments("float32"))
        shapes = [output.shape for output in concrete.outputs]
        assert shapes == [(BATCH, TIME, UNITS), (BATCH, UNITS), (BATCH, UNITS)]


class TestImplementation:
    def test_refuses_unknown_ones(self):
        with pytest.raises(ValueError, match="`implementation` must be"):
            ops.lstm(*make_arguments("float32"), implementation="fastest")

    @pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="a GPU is present")
    def test_refuses_cudnn_without_gpu(self):
        with pytest.raises(ValueError, match="needs a GPU, but TensorFlow sees none"):
            ops.lstm(*make_arguments("float32"), implementation="cudnn")

    def test_choice_with_a_gpu(self, monkeypatch):
        calls = []

        def stand_in(*arguments):
            calls.append("cudnn")
            return lstm_portable(*arguments)

        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
        monkeypatch.setattr(lstm_module, "lstm_cudnn", stand_in)
        arguments = make_arguments("float32")
        ops.lstm(*arguments, implementation="portable")
        with ops.portable_kernels():
            ops.lstm(*arguments)
        assert calls == []
        ops.lstm(*arguments)
        with ops.portable_kernels():
            ops.lstm(*arguments, implementation="cudnn")
        assert calls == ["cudnn", "cudnn"]


def test_transposed_ids():
    ids = np.arange(12, dtype="int32").reshape(3, 4)
    call = tf.function(ops.transposed_ids, input_signature=[tf.TensorSpec((None, None), tf.int32)])
    assert_equal(call(ids), ids.T)
