"""Tests of the comparison of kernels: right ones pass, and every kind of wrong one is found."""

import importlib

import pytest
import tensorflow as tf

from awd_keras.ops.lstm_portable import lstm_portable
from tests.ops.cudnn_stand_in import cudnn_rnn_v3
from trainers.verification import kernels, worst

lstm_module = importlib.import_module("awd_keras.ops.lstm")
SHORT = kernels.Case("short", (3, 2), ((3, 1, 2, 3), (1, 2, 2, 1)))


def doubled_gradient(tensor):
    return 2.0 * tensor - tf.stop_gradient(tensor)


def forgets_lengths(*arguments, training=True):
    *tensors, _ = arguments
    return lstm_portable(*tensors, None, training)


def wrong_outputs(*arguments, **options):
    outputs, h, c = lstm_portable(*arguments, **options)
    return 1.001 * outputs, h, c


def wrong_cell(*arguments, **options):
    outputs, h, c = lstm_portable(*arguments, **options)
    return outputs, h, c + 1e-3


def wrong_gradient(*arguments, **options):
    *tensors, recurrent_kernel, bias, lengths = arguments
    recurrent_kernel = doubled_gradient(recurrent_kernel)
    return lstm_portable(*tensors, recurrent_kernel, bias, lengths, **options)


def wrong_inference(*arguments, training=True):
    outputs, h, c = lstm_portable(*arguments, training)
    return (1.0 if training else 1.001) * outputs, h, c


def nan_outputs(*arguments, **options):
    outputs, h, c = lstm_portable(*arguments, **options)
    return float("nan") * outputs, h, c


WRONG = [forgets_lengths, wrong_outputs, wrong_cell, wrong_gradient, wrong_inference, nan_outputs]


@pytest.fixture
def only_portable_float32(monkeypatch):
    monkeypatch.setattr(kernels, "PORTABLE_LIMITS", {"float32": 2e-5})
    monkeypatch.setattr(kernels, "KERAS_LIMITS", {})
    monkeypatch.setattr(kernels, "CUDNN_LIMITS", {})
    monkeypatch.setattr(kernels, "CASES", (SHORT,))


class TestPortable:
    @pytest.mark.parametrize("wrong", WRONG, ids=lambda function: function.__name__)
    def test_a_wrong_kernel_fails(self, only_portable_float32, monkeypatch, wrong):
        monkeypatch.setattr(lstm_module, "lstm_portable", wrong)
        check, skipped = kernels.check_kernels()
        assert check.failed and check.detail
        assert skipped.skipped

    def test_a_kernel_that_stops_fails(self, only_portable_float32, monkeypatch):
        def stops(*arguments, **options):
            raise tf.errors.InternalError(None, None, "Failed to call DoRnnForward")

        monkeypatch.setattr(lstm_module, "lstm_portable", stops)
        check, _ = kernels.check_kernels()
        assert check.failed and check.figure is None
        assert check.detail.endswith("Failed to call DoRnnForward"), check

    @pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
    def test_the_kernel_passes(self, dtype):
        lstm = kernels.library_lstm("portable")
        comparisons = kernels.compare_kernels(lstm, None, dtype, (kernels.EMPTY_ROWS, SHORT))
        assert len(comparisons) == 4 * 9
        error, _ = worst(comparisons)
        assert 0.0 < error <= kernels.PORTABLE_LIMITS[dtype]

    def test_keras(self):
        for dtype in ("float64", "bfloat16"):
            lstm, other = kernels.library_lstm("portable"), kernels.keras_lstm(dtype)
            error, _ = worst(kernels.compare_kernels(lstm, other, dtype, (SHORT,)))
            assert 0.0 < error <= kernels.KERAS_LIMITS[dtype]


def test_windows_carry_the_state():
    whole = kernels.Case("whole", (5,))
    split = kernels.Case("split", (2, 3))
    lstm, arguments = kernels.library_lstm("portable"), kernels.random_arguments("float64", 5)
    (expected,) = kernels.run_windows(lstm, arguments, whole)
    first, second = kernels.run_windows(lstm, arguments, split)
    outputs = tf.concat([first["outputs"], second["outputs"]], axis=1)
    assert worst([("outputs", outputs, expected["outputs"])])[0] < 1e-14
    assert worst([("c", second["final c"], expected["final c"])])[0] < 1e-14


@pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="a GPU is present")
def test_without_a_gpu_its_checks_are_skipped(only_portable_float32, monkeypatch):
    monkeypatch.setattr(kernels, "PORTABLE_LIMITS", {})
    monkeypatch.setattr(kernels, "CUDNN_LIMITS", {"float32": 1e-4, "float16": 1e-2})
    checks = list(kernels.check_kernels())
    assert [check.name for check in checks] == [
        "LSTM, float32: cuDNN",
        "LSTM, float16: cuDNN",
        "LSTM, float32 by TF32: cuDNN",
    ]
    assert all(c.skipped and c.detail == "TensorFlow sees no GPU" for c in checks)


class TestCudnn:
    """The checks of cuDNN; the GPU and its operation are stand-ins."""

    @pytest.fixture(autouse=True)
    def gpu(self, only_portable_float32, monkeypatch):
        self.seen = []

        def operation(**arguments):
            enabled = tf.config.experimental.tensor_float_32_execution_enabled()
            self.seen.append((arguments["is_training"], arguments["time_major"], enabled))
            return cudnn_rnn_v3(**arguments)

        monkeypatch.setattr(kernels, "PORTABLE_LIMITS", {})
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", operation)

    def test_every_path_of_the_operation_is_checked(self, monkeypatch):
        monkeypatch.setattr(kernels, "CASES", (kernels.Case("full", (2,)), SHORT))
        (check,) = kernels.check_kernels()
        assert (check.name, check.result) == ("LSTM, float32 by TF32: cuDNN", "ok")
        assert set(self.seen) == {(a, b, True) for a in (False, True) for b in (False, True)}

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision(self, monkeypatch, dtype):
        monkeypatch.setattr(kernels, "CUDNN_LIMITS", {dtype: 5e-2})
        check = next(kernels.check_kernels())
        assert (check.name, check.result) == (f"LSTM, {dtype}: cuDNN", "ok"), check
        assert not any(enabled for _, _, enabled in self.seen)

    def test_a_wrong_operation_fails(self, monkeypatch):
        def wrong(**arguments):
            outputs, *others = cudnn_rnn_v3(**arguments)
            return 1.05 * outputs, *others

        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", wrong)
        (check,) = kernels.check_kernels()
        assert check.failed
