"""Tests of the words on a machine."""

import keras
import pytest
import tensorflow as tf

from trainers.verification import describe_device, device


def test_versions_come_first():
    versions, _, dtype = describe_device()
    for version in (tf.__version__, keras.__version__):
        assert version in versions
    assert dtype.startswith("runs multiply ")


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="a GPU is present")
def test_a_cpu():
    line = describe_device()[1]
    assert line.startswith("CPU: ") and line.endswith(f"cores; {device.NO_GPU}")


def test_a_gpu(monkeypatch):
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    details = {"device_name": "Made Up 100", "compute_capability": (9, 0)}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: [gpu])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    _, line, dtype = describe_device()
    assert line.startswith("GPU: Made Up 100 (compute capability 9.0); TensorFlow was built with")
    assert dtype == "runs multiply bfloat16 here (the GPU multiplies it)"
