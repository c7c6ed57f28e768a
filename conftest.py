"""What every test starts from: quiet TensorFlow, parsed absl flags, Keras's default dtypes."""

import os
import sys

# Both are read when TensorFlow and Keras are imported, hence before everything else.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import pytest  # noqa: E402
from absl import flags  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--run_slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--run_slow"):
        skip_slow = pytest.mark.skip(reason="slow: runs with --run_slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip_slow)
    gpu_items = [item for item in items if "gpu" in item.keywords]
    if gpu_items and not _has_gpu():
        skip_gpu = pytest.mark.skip(reason="gpu: TensorFlow sees no GPU here")
        for item in gpu_items:
            item.add_marker(skip_gpu)


def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@pytest.fixture(autouse=True, scope="session")
def parse_absl_flags():
    """Lets absltest's temporary folders and flagsaver work under pytest."""
    flags.FLAGS(["pytest"], known_only=True)


@pytest.fixture(autouse=True)
def full_float32():
    """A GPU rounds factors of float32 products to TF32; tests ask for that where they want it."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and hasattr(tensorflow, "config"):
        tensorflow.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture(autouse=True)
def keras_defaults():
    """Undoes what a test changed of Keras's global state; costs nothing where Keras is not used."""
    yield
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
