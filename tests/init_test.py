"""Tests of `import awd_keras`."""

import os
import subprocess
import sys

import keras

import awd_keras


def test_registers_every_class():
    modules = (awd_keras.layers, awd_keras.metrics, awd_keras.models, awd_keras.optimizers)
    bases = (keras.Layer, keras.metrics.Metric, keras.optimizers.Optimizer)
    public = [getattr(module, name) for module in modules for name in module.__all__]
    classes = [each for each in public if isinstance(each, type) and issubclass(each, bases)]
    assert len(classes) >= 10
    for each in classes:
        assert keras.saving.get_registered_object(f"awd_keras>{each.__name__}") is each


def test_another_backend_is_refused_in_one_line():
    command = [sys.executable, "-c", "import awd_keras"]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    message = result.stderr.splitlines()[-1]
    assert message.startswith("ImportError: awd_keras requires Keras's TensorFlow backend")
