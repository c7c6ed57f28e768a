"""Test setup: markers, absl flags and Keras's global state."""

import os
import signal
import sys

# Read when TensorFlow and Keras are imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import pytest  # noqa: E402
from absl import flags  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--run_slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--run_slow"):
        _skip(items, "slow", "slow: needs --run_slow")
    if any("gpu" in item.keywords for item in items) and not _has_gpu():
        _skip(items, "gpu", "gpu: TensorFlow finds no GPU")


def _skip(items, marker, reason):
    for item in items:
        if marker in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@pytest.fixture(autouse=True, scope="session")
def parse_absl_flags():
    """Parses an empty command line, because absl's flags cannot be read before parsing."""
    flags.FLAGS(["pytest"], known_only=True)


@pytest.fixture(autouse=True, scope="session")
def hide_an_unusable_gpu():
    """Hides a GPU that TensorFlow cannot use, of which every command would warn."""
    if not _has_gpu():
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


@pytest.fixture(autouse=True, scope="session")
def let_ctrl_c_interrupt():
    """Restores the handler of Ctrl-C, which shells ignore in background processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def full_float32():
    """Turns off TF32, to which GPUs round the inputs of float32 matmuls by default."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and hasattr(tensorflow, "config"):
        tensorflow.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture(autouse=True)
def keras_defaults():
    """Restores Keras's default dtypes after each test."""
    yield
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
