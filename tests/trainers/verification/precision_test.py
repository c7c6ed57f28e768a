"""Tests of settings that hold in a block alone."""

import keras
import pytest
import tensorflow as tf

from trainers.verification import floatx, tensor_float_32


def test_floatx():
    keras.config.set_dtype_policy("mixed_bfloat16")
    with pytest.raises(ZeroDivisionError), floatx("float64"):
        assert keras.config.floatx() == "float64"
        assert keras.layers.Dense(1).compute_dtype == "float64"
        1 / 0  # noqa: B018
    assert keras.config.floatx() == "float32"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


@pytest.mark.parametrize("enabled", [False, True])
def test_tensor_float_32(enabled):
    get = tf.config.experimental.tensor_float_32_execution_enabled
    before = get()
    with pytest.raises(ZeroDivisionError), tensor_float_32(enabled):
        assert get() == enabled
        1 / 0  # noqa: B018
    assert get() == before
