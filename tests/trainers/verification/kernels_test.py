"""Tests of the comparison of kernels; without a GPU, a stand-in takes cuDNN's place."""

import pytest
import tensorflow as tf

from tests.ops.cudnn_stand_in import cudnn_rnn_v3
from trainers.commands.verify import all_checks, largest_error
from trainers.verification import kernels


def names():
    return [name for name, _, _ in all_checks()]


@pytest.fixture
def gpu(monkeypatch):
    if not tf.config.list_logical_devices("GPU"):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", cudnn_rnn_v3)


def test_cudnn(gpu, monkeypatch):
    monkeypatch.setitem(kernels.SHAPES, "inputs", (4, 3, 12))  # the stand-in is slow
    assert "cudnn LSTM, float32" in names()
    comparisons = kernels.compare_kernels("cudnn", "float32")
    assert len(comparisons) == 4 * 9
    assert largest_error(lambda: comparisons)[0] <= kernels.LIMITS["cudnn", "float32"]


@pytest.mark.parametrize("case", [case for case in kernels.CELL_LIMITS if "cudnn" not in case])
def test_cells(case):
    comparisons = kernels.compare_cells(*case)
    assert largest_error(lambda: comparisons)[0] <= kernels.CELL_LIMITS[case]


def test_xla_step():
    assert largest_error(kernels.compare_xla_step)[0] <= 1e-4


@pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="a GPU is present")
def test_without_a_gpu():
    assert not any("cudnn" in name for name in names())
