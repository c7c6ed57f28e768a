"""Assertions and checks that many tests share."""

import contextlib
import inspect
import json
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf


def to_numpy(values):
    """Returns a tensor, variable or array as a NumPy array, half precision as float32."""
    if isinstance(values, tf.IndexedSlices):
        values = tf.convert_to_tensor(values)
    array = np.array(values.numpy() if hasattr(values, "numpy") else values)
    return array.astype("float32") if array.dtype.name in ("bfloat16", "float16") else array


def assert_close(actual, expected, tolerance, name="tensor"):
    """Asserts that `max|actual - expected| / max|expected|` is within the tolerance."""
    actual, expected = (to_numpy(values).astype("float64") for values in (actual, expected))
    assert actual.shape == expected.shape, name
    scale = np.max(np.abs(expected), initial=0.0) or 1.0
    error = np.max(np.abs(actual - expected), initial=0.0) / scale
    assert error <= tolerance, f"{name}: relative error {error} above {tolerance}"


def assert_equal(actual, expected):
    """Asserts that two tensors are equal bit for bit."""
    np.testing.assert_array_equal(to_numpy(actual), to_numpy(expected))


def assert_all_close(actual, expected, tolerance):
    """Calls `assert_close` for each tensor of two structures."""
    for index, (one, other) in enumerate(_pairs(actual, expected)):
        assert_close(one, other, tolerance, f"tensor {index}")


def assert_all_equal(actual, expected):
    """Calls `assert_equal` for each tensor of two structures."""
    for one, other in _pairs(actual, expected):
        assert_equal(one, other)


def _pairs(actual, expected):
    return zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True)


def seed_tensor(first=1, second=2):
    """Returns a seed as layers and models take it."""
    return tf.constant([first, second], "int32")


@contextlib.contextmanager
def dtype_policy(name):
    """Context manager that sets the global dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def floatx(name):
    """Context manager that sets Keras's default float type, and the dtype policy of that name."""
    before = keras.config.floatx()
    keras.config.set_floatx(name)
    try:
        with dtype_policy(name):
            yield
    finally:
        keras.config.set_floatx(before)


def plain_lstm(inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, mask=None):
    """Computes `ops.lstm` step by step, with automatic differentiation."""
    h, c = initial_h, initial_c
    output, outputs = tf.zeros_like(h), []
    for step in range(inputs.shape[1]):
        z = inputs[:, step] @ kernel + h @ recurrent_kernel + bias
        i, f, g, o = tf.split(z, 4, axis=-1)
        new_c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        new_h = tf.sigmoid(o) * tf.tanh(new_c)
        is_real = True if mask is None else mask[:, step, tf.newaxis]
        h, c, output = (
            tf.where(is_real, new, old) for new, old in ((new_h, h), (new_c, c), (new_h, output))
        )
        outputs.append(output)
    return tf.stack(outputs, axis=1), h, c


def save_and_load(model):
    """Returns the model after a round trip through a `.keras` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        return keras.models.load_model(path)


def check_config(instance):
    """Checks the configuration, and returns the instance created from it after a trip to JSON."""
    config = instance.get_config()
    arguments = set(inspect.signature(type(instance)).parameters) - {"args", "kwargs"}
    assert not arguments - set(config), "arguments missing in the configuration"
    text = json.dumps(config, sort_keys=True)
    revived = type(instance).from_config(json.loads(text))
    assert json.dumps(revived.get_config(), sort_keys=True) == text
    return revived


def check_layer(layer_factory, inputs, output_dtypes=None):
    """Checks what every layer must do, whatever it computes.

    The configuration survives JSON; symbolic and eager calls agree in shape and dtype; a
    functional model survives a `.keras` file; eager calls and `tf.function` agree; and all of this
    also holds under mixed precision.

    Args:
        layer_factory: Function that returns a new layer.
        inputs: Array, or structure of arrays, the first argument of the layer.
        output_dtypes: Dtype of each output under mixed precision. Defaults to the compute dtype.
    """
    check_config(layer_factory())
    symbols = keras.tree.map_structure(
        lambda x: keras.Input(x.shape[1:], dtype=str(x.dtype)), inputs
    )
    tensors = keras.tree.map_structure(tf.convert_to_tensor, inputs)
    layer = layer_factory()
    symbolic_outputs = layer(symbols)
    outputs = keras.tree.flatten(layer(tensors))
    for symbol, output in zip(keras.tree.flatten(symbolic_outputs), outputs, strict=True):
        assert symbol.shape == (None, *output.shape[1:])
        assert symbol.dtype == output.dtype
    model = keras.Model(symbols, symbolic_outputs)
    revived = save_and_load(model)
    assert_all_equal(revived.weights, model.weights)
    assert_all_equal(revived(tensors), outputs)
    assert_all_close(tf.function(layer)(tensors), outputs, 1e-6)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        with dtype_policy(policy):
            layer = layer_factory()
            outputs = keras.tree.flatten(layer(tensors, training=True))
            model = keras.Model(symbols, layer(symbols))
        dtypes = output_dtypes or [layer.compute_dtype] * len(outputs)
        assert [output.dtype for output in outputs] == [
            tf.as_dtype(x or layer.compute_dtype) for x in dtypes
        ]
        assert all(np.all(np.isfinite(to_numpy(output))) for output in outputs)
        assert all(weight.dtype == "float32" for weight in layer.weights)
        # The policy comes from the file.
        revived = keras.tree.flatten(save_and_load(model)(tensors))
        assert_all_equal(revived, model(tensors))
        assert [output.dtype for output in revived] == [output.dtype for output in outputs]
