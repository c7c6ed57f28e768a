"""Tests of cuDNN's LSTM: on a GPU the operation itself, elsewhere what surrounds it.

No GPU, no cuDNN: there the graph is looked at, and a stand-in takes the operation's place.
"""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from awd_keras.ops.lstm_cudnn import lstm_cudnn, pack_parameters
from awd_keras.ops.lstm_portable import lstm_portable
from tests.ops.cudnn_stand_in import cudnn_rnn_v3, unpack_parameters
from tests.test_case import assert_close, assert_equal

BATCH, FEATURES, UNITS = 4, 5, 6
NAMES = (
    "outputs",
    "final_h",
    "final_c",
    "d inputs",
    "d initial_h",
    "d initial_c",
    "d kernel",
    "d recurrent_kernel",
    "d bias",
)
# Rows of all kinds: full, shorter, of one step, and empty.
LENGTHS = (9, 4, 1, 0)


def make_arguments(dtype, timesteps=9, dropped=True):
    """Time-major arguments; half of the recurrent matrix is dropped, as in training."""
    generator = np.random.default_rng(3)
    states = "float64" if dtype == "float64" else "float32"
    shapes = [(timesteps, BATCH, FEATURES), (BATCH, UNITS), (BATCH, UNITS)]
    shapes += [(FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
    arrays = [generator.normal(size=shape, scale=0.5) for shape in shapes]
    if dropped:
        arrays[4] *= 2.0 * (generator.random(shapes[4]) >= 0.5)
    dtypes = [dtype, states, states, dtype, dtype, dtype]
    return [tf.cast(tf.constant(array), to) for array, to in zip(arrays, dtypes)]


def with_gradients(kernel, arguments, lengths, **options):
    """Outputs, final states and the gradients of an uneven sum of all three."""
    lengths = None if lengths is None else tf.convert_to_tensor(lengths)
    factors = tf.random.stateless_normal((100, BATCH, UNITS), (1, 2), dtype=tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        results = kernel(*arguments, lengths, **options)
        outputs, final_h, final_c = (tf.cast(result, tf.float64) for result in results)
        loss = tf.reduce_sum(outputs * factors[: outputs.shape[0]])
        loss += 0.7 * tf.reduce_sum(final_h**2) + 0.3 * tf.reduce_sum(tf.sin(final_c))
    return [*results, *tape.gradient(loss, arguments)]


def assert_same(actual, expected, tolerance):
    for name, value, reference in zip(NAMES, actual, expected, strict=True):
        assert value.dtype == reference.dtype, name
        assert value.shape == reference.shape, name
        assert_close(value, reference, tolerance, name)


class TestGraph:
    """The graph, which needs no GPU to be made."""

    def operations(self, lengths, training, dtype="float32", differentiated=True):
        arguments = make_arguments(dtype)

        def compute(*arguments):
            function = with_gradients if differentiated else lambda f, a, *r, **o: f(*a, *r, **o)
            return function(lstm_cudnn, arguments, lengths, training=training)

        graph = tf.function(compute).get_concrete_function(*arguments).graph
        return [op for op in graph.get_operations() if op.type.startswith("CudnnRNN")]

    # CudnnRNN and CudnnRNNV2 take no lengths, and cuDNN 9 refuses them.
    @pytest.mark.parametrize("lengths", [None, LENGTHS])
    def test_training(self, lengths):
        forward, backward = self.operations(lengths, training=True)
        assert (forward.type, backward.type) == ("CudnnRNNV3", "CudnnRNNBackpropV3")
        assert forward.get_attr("is_training")
        # The gradient reads the reserve space of the forward pass.
        assert {t.op.name for t in backward.inputs} >= {forward.name}
        for operation in (forward, backward):
            # A kernel remembers whether time-major rows were padded: padded ones go batch-major.
            assert operation.get_attr("time_major") == (lengths is None)

    @pytest.mark.parametrize("lengths", [None, LENGTHS])
    def test_inference(self, lengths):
        (forward,) = self.operations(lengths, training=False, differentiated=False)
        assert forward.type == "CudnnRNNV3" and not forward.get_attr("is_training")

    def test_gradient_of_inference(self):
        operations = self.operations(None, training=False)
        kinds = [op.type for op in operations]
        assert kinds == ["CudnnRNNV3", "CudnnRNNV3", "CudnnRNNBackpropV3"]
        first, second, backward = operations
        assert not first.get_attr("is_training") and second.get_attr("is_training")
        assert first.name not in {t.op.name for t in backward.inputs}

    @pytest.mark.parametrize(
        ("dtype", "inside"),
        [
            ("float64", "float64"),
            ("float32", "float32"),
            ("float16", "float16"),
            ("bfloat16", "float32"),
        ],
    )
    def test_dtypes(self, dtype, inside):
        for operation in self.operations(None, training=True, dtype=dtype):
            assert operation.get_attr("T") == inside


@pytest.mark.parametrize("traced", [False, True])
class TestAroundTheOperation:
    """What surrounds the operation, with a stand-in in its place."""

    @pytest.fixture(autouse=True)
    def stand_in(self, monkeypatch):
        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", lambda **a: cudnn_rnn_v3(**a))

    def compare(self, dtype, lengths, training, tolerance, traced):
        arguments = make_arguments(dtype)

        def compute(*arguments):
            return with_gradients(lstm_cudnn, list(arguments), lengths, training=training)

        actual = (tf.function(compute) if traced else compute)(*arguments)
        assert_same(actual, with_gradients(lstm_portable, arguments, lengths), tolerance)

    @pytest.mark.parametrize("lengths", [None, LENGTHS, (9, 9, 9, 9)])
    @pytest.mark.parametrize("training", [True, False])
    def test_equals_portable(self, lengths, training, traced):
        self.compare("float64", lengths, training, 1e-12, traced)

    @pytest.mark.parametrize(
        ("dtype", "tolerance"), [("float32", 5e-6), ("bfloat16", 3e-2), ("float16", 5e-3)]
    )
    def test_dtypes(self, dtype, tolerance, traced):
        self.compare(dtype, LENGTHS, False, tolerance, traced)

    def test_states_are_not_rounded_to_bfloat16(self, traced):
        inputs, h, c, kernel, recurrent_kernel, _ = make_arguments("bfloat16")
        # Closed input gates, open forget gates: the cell passes through.
        bias = tf.cast(tf.repeat([-100.0, 100.0, 0.0, 0.0], UNITS), "bfloat16")
        weights = (0.0 * kernel, 0.0 * recurrent_kernel, bias)
        function = tf.function(lstm_cudnn) if traced else lstm_cudnn
        assert_close(function(inputs, h, c, *weights, None)[2], c, 1e-7)


def test_packing_is_undone_by_the_stand_in():
    *_, kernel, recurrent_kernel, bias = make_arguments("float32")
    packed = pack_parameters(kernel, recurrent_kernel, bias)
    for actual, expected in zip(
        unpack_parameters(packed, FEATURES, UNITS), (kernel, recurrent_kernel, bias)
    ):
        assert_equal(actual, expected)


@pytest.fixture
def tensor_float_32():
    """Function that switches TF32 on or off, until the end of the test."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    yield tf.config.experimental.enable_tensor_float_32_execution
    tf.config.experimental.enable_tensor_float_32_execution(before)


# (dtype, TF32, tolerance): the portable loop in float64 is the measure.
PRECISIONS = [
    ("float64", False, 1e-9),
    ("float32", False, 1e-4),
    ("float32", True, 1e-2),
    ("bfloat16", False, 5e-2),
    ("float16", False, 2e-2),
]


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tf32", "tolerance"), PRECISIONS)
class TestOnGPU:
    """The operation itself, through `ops.lstm`."""

    def measure(self, arguments, lengths):
        """The portable loop, in float64 from the same rounded numbers, in the dtypes asked for."""
        exact = with_gradients(lstm_portable, [tf.cast(a, "float64") for a in arguments], lengths)
        dtypes = [arguments[0], arguments[1], arguments[1], *arguments]
        return [tf.cast(value, like.dtype) for value, like in zip(exact, dtypes, strict=True)]

    def cudnn(self, *arguments, **options):
        *tensors, lengths = arguments
        return ops.lstm(
            *tensors, lengths=lengths, time_major=True, implementation="cudnn", **options
        )

    @pytest.mark.parametrize("lengths", [None, LENGTHS, (9, 9, 9, 9)])
    @pytest.mark.parametrize("training", [True, False])
    def test_equals_portable(self, dtype, tf32, tolerance, lengths, training, tensor_float_32):
        tensor_float_32(tf32)
        arguments = make_arguments(dtype)

        # A function of its own: kernels keep what they set up, TF32 or not, for a shape.
        @tf.function
        def compute(*arguments):
            return with_gradients(self.cudnn, list(arguments), lengths, training=training)

        assert_same(compute(*arguments), self.measure(arguments, lengths), tolerance)

    @pytest.mark.parametrize("training", [True, False])
    def test_windows_of_changing_length(self, dtype, tf32, tolerance, training, tensor_float_32):
        tensor_float_32(tf32)
        inputs, h, c, *weights = make_arguments(dtype, timesteps=30)
        traces = []

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None, FEATURES), inputs.dtype),
                tf.TensorSpec((None, UNITS), h.dtype),
                tf.TensorSpec((None, UNITS), c.dtype),
            ]
        )
        def window(inputs, h, c):
            traces.append(1)
            return self.cudnn(inputs, h, c, *weights, None, training=training)

        outputs, start = [], 0
        for length in (7, 1, 12, 7, 3):
            some, h, c = window(inputs[start : start + length], h, c)
            outputs.append(some)
            start += length
        assert len(traces) == 1
        expected = self.measure(make_arguments(dtype, timesteps=30), None)[:3]
        for name, value, reference in zip(NAMES, (tf.concat(outputs, 0), h, c), expected):
            assert_close(value, reference, tolerance, name)

    def test_full_rows_then_padded_rows(self, dtype, tf32, tolerance, tensor_float_32):
        tensor_float_32(tf32)
        arguments = make_arguments(dtype)

        @tf.function(reduce_retracing=True)
        def compute(lengths):
            return with_gradients(self.cudnn, arguments, lengths)

        for lengths in ((9, 9, 9, 9), LENGTHS, (1, 2, 3, 9), (9, 9, 9, 9)):
            actual = compute(tf.constant(lengths))
            assert_same(actual, self.measure(arguments, lengths), tolerance)
