"""Tests of the checks by reference vectors; reference_models_test.py has the comparison."""

import importlib

import pytest
import tensorflow as tf

from awd_keras import losses
from awd_keras.ops.lstm_portable import lstm_portable
from tests.ops.cudnn_stand_in import cudnn_rnn_v3
from trainers.verification import reference_vectors
from trainers.verification.reference_models import Functions

lstm_module = importlib.import_module("awd_keras.ops.lstm")
NAMES = [
    "functions",
    "functions, masks",
    "functions, 8 windows",
    "model",
    "model, 8 windows",
    "cuDNN, masks",
]


@pytest.fixture(autouse=True)
def float64_alone(monkeypatch):
    monkeypatch.setattr(reference_vectors, "LIMITS", {"float64": 1e-9})


def run_checks():
    checks = list(reference_vectors.check_reference_vectors())
    assert [c.name for c in checks] == [f"reference vectors, float64: {name}" for name in NAMES]
    return [check.result for check in checks]


def test_cudnn_is_checked_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    calls = []

    def operation(**arguments):
        calls.append(arguments["input"].dtype)
        return cudnn_rnn_v3(**arguments)

    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", operation)
    # The model would choose the stand-in too, and that is slow.
    monkeypatch.setattr(reference_vectors, "LanguageModel", lambda v: Functions(v, "float64"))
    assert run_checks() == 6 * ["ok"]
    assert set(calls) == {tf.float64}


@pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="a GPU is present")
def test_a_wrong_kernel_fails_everywhere(monkeypatch):
    def wrong(*arguments, **options):
        outputs, h, c = lstm_portable(*arguments, **options)
        return outputs, h, (1.0 + 1e-8) * c

    monkeypatch.setattr(lstm_module, "lstm_portable", wrong)
    assert run_checks() == [*5 * ["FAILED"], "skipped"]


@pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="a GPU is present")
def test_a_wrong_loss_fails(monkeypatch):
    monkeypatch.setattr(losses, "temporal_activation_regularization", lambda raw, beta: 0.0 * beta)
    assert "ok" not in run_checks()
