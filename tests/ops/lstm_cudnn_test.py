"""Tests of cuDNN's LSTM: the operation itself on a GPU, what surrounds it everywhere.

Without a GPU the graph is inspected, and a stand-in replaces the operation.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from awd_keras.ops.lstm_cudnn import lstm_cudnn, pack_parameters
from tests.ops.cudnn_stand_in import cudnn_rnn_v3
from tests.ops.lstm_portable_test import (
    BATCH,
    FEATURES,
    TIME,
    UNITS,
    gradients_of,
    make_arguments,
    portable,
)
from tests.test_case import assert_all_close, assert_close, assert_equal

RIGHT_PADDED = np.arange(TIME) < np.array([[TIME], [4], [0]])
# A padded beginning, a hole, and a row without any step.
ANY_MASK = np.array([[0, 0, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1, 0], [0] * TIME], bool)
MASKS = pytest.mark.parametrize(
    "mask",
    [None, np.ones((BATCH, TIME), bool), RIGHT_PADDED, ANY_MASK],
    ids=["none", "full", "right", "any"],
)


def results_and_gradients(function, arguments, **options):
    return [
        *function(*arguments, **options),
        *gradients_of(lambda *a: function(*a, **options), arguments),
    ]


def reference(arguments, **options):
    """The portable loop in float64 on the same rounded numbers."""
    return results_and_gradients(portable, [tf.cast(a, "float64") for a in arguments], **options)


def cudnn(*arguments, **options):
    return ops.lstm(*arguments, implementation="cudnn", **options)


@pytest.mark.parametrize("lengths", [None, tf.constant([TIME, 4, 0])], ids=["full", "padded"])
def test_graph(lengths):
    """The graph, which can be built without a GPU."""
    inputs, *others = make_arguments("float32")

    @tf.function
    def compute(*arguments):
        return gradients_of(lambda *a: lstm_cudnn(*a, lengths), arguments)

    arguments = tf.transpose(inputs, (1, 0, 2)), *others
    graph = compute.get_concrete_function(*arguments).graph
    forward, backward = (op for op in graph.get_operations() if op.type.startswith("CudnnRNN"))
    assert (forward.type, backward.type) == ("CudnnRNNV3", "CudnnRNNBackpropV3")
    assert forward.get_attr("is_training")
    # The gradient reads the reserve space of the forward pass.
    assert forward.name in {tensor.op.name for tensor in backward.inputs}
    for operation in (forward, backward):
        # A time-major kernel remembers whether rows were padded, a batch-major one does not.
        assert operation.get_attr("time_major") == (lengths is None)


class TestWithStandIn:
    @pytest.fixture(autouse=True)
    def stand_in(self, monkeypatch):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", lambda **options: cudnn_rnn_v3(**options))

    @MASKS
    @pytest.mark.parametrize("training", [True, False])
    def test_equals_portable(self, mask, training):
        @tf.function
        def compute(*arguments):
            return results_and_gradients(cudnn, arguments, mask=mask, training=training)

        arguments = make_arguments()
        assert_all_close(compute(*arguments), reference(arguments, mask=mask), 1e-10)

    @pytest.mark.parametrize("dtype,tolerance", [("bfloat16", 3e-2), ("float16", 1e-2)])
    def test_half_precision(self, dtype, tolerance):
        arguments = make_arguments(dtype)
        actual = results_and_gradients(cudnn, arguments, mask=ANY_MASK)
        assert [tensor.dtype for tensor in actual[:3]] == [dtype, "float32", "float32"]
        assert_all_close(actual, reference(arguments, mask=ANY_MASK), tolerance)

    def test_states_are_not_rounded_to_bfloat16(self):
        inputs, h, _, kernel, recurrent_kernel, _ = make_arguments("bfloat16")
        # The input gate is closed and the forget gate open, so `c` passes through.
        bias = tf.cast(tf.repeat([-100.0, 100.0, 0.0, 0.0], UNITS), "bfloat16")
        c = tf.fill((BATCH, UNITS), 1.0 + 2.0**-12)
        assert_close(cudnn(inputs, h, c, 0 * kernel, 0 * recurrent_kernel, bias)[2], c, 1e-7)


class TestPackParameters:
    def test_equals_keras(self, monkeypatch):
        """Keras passes the same vector to its cuDNN operation."""
        packed = []

        def record(input, input_h, input_c, params, **options):
            packed.append(params)
            outputs = tf.zeros((*input.shape[:2], UNITS))
            return outputs, input_h, input_c, None, None

        weights = make_arguments("float32")[3:]
        layer = keras.layers.LSTM(UNITS)
        layer.build((BATCH, TIME, FEATURES))
        layer.set_weights(weights)
        devices = [tf.config.LogicalDevice("/device:GPU:0", "GPU")]
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: devices)
        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", record)
        layer(tf.zeros((BATCH, TIME, FEATURES)))
        assert_equal(pack_parameters(*weights), packed[0])


@pytest.fixture
def tensor_float_32():
    """Function that switches TF32 on or off until the end of the test."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    yield tf.config.experimental.enable_tensor_float_32_execution
    tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "dtype,tf32,tolerance",
    [
        ("float64", False, 1e-9),
        ("float32", False, 1e-4),
        ("float32", True, 1e-2),
        ("bfloat16", False, 5e-2),
        ("float16", False, 2e-2),
    ],
)
class TestOnGPU:
    @MASKS
    @pytest.mark.parametrize("training", [True, False])
    def test_equals_portable(self, dtype, tf32, tolerance, mask, training, tensor_float_32):
        tensor_float_32(tf32)
        arguments = make_arguments(dtype)

        # One function per test, since kernels cache their setup, TF32 included, per shape.
        @tf.function
        def compute(*arguments):
            return results_and_gradients(cudnn, arguments, mask=mask, training=training)

        assert_all_close(compute(*arguments), reference(arguments, mask=mask), tolerance)

    @pytest.mark.parametrize("training", [True, False])
    def test_windows_of_changing_length(self, dtype, tf32, tolerance, training, tensor_float_32):
        tensor_float_32(tf32)
        inputs, h, c, *weights = arguments = make_arguments(dtype, time=30)
        state = tf.TensorSpec((None, UNITS), h.dtype)

        @tf.function(
            input_signature=[tf.TensorSpec((None, None, FEATURES), inputs.dtype), state, state]
        )
        def window(inputs, h, c):
            return cudnn(inputs, h, c, *weights, training=training)

        outputs, start = [], 0
        for length in (7, 1, 12, 7, 3):
            output, h, c = window(inputs[:, start : start + length], h, c)
            outputs.append(output)
            start += length
        expected = portable(*[tf.cast(argument, "float64") for argument in arguments])
        assert_all_close([tf.concat(outputs, axis=1), h, c], expected, tolerance)

    def test_full_rows_then_padded_rows(self, dtype, tf32, tolerance, tensor_float_32):
        tensor_float_32(tf32)
        arguments = make_arguments(dtype)

        @tf.function
        def compute(mask):
            return results_and_gradients(cudnn, arguments, mask=mask)

        for mask in (np.ones((BATCH, TIME), bool), RIGHT_PADDED, ANY_MASK):
            actual = compute(tf.constant(mask))
            assert_all_close(actual, reference(arguments, mask=mask), tolerance)
