"""What the tests share: comparisons, and a check of layers."""

import contextlib
import json
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf

from trainers.verification import relative_error

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def to_numpy(values):
    """Returns a tensor, variable or array as a NumPy array, half precision as float32."""
    if isinstance(values, tf.IndexedSlices):
        values = tf.convert_to_tensor(values)
    array = np.array(values.numpy() if hasattr(values, "numpy") else values)
    return array.astype("float32") if array.dtype.name in ("bfloat16", "float16") else array


@contextlib.contextmanager
def floatx(name):
    """Sets Keras's float type, and the dtype policy of that name, inside a `with` block."""
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)


def plain_lstm(inputs, initial_h, initial_c, kernel, recurrent_kernel, bias, lengths=None):
    """Computes what `ops.lstm` does, step by step, and leaves the gradient to autodiff."""
    hidden, cell, outputs = initial_h, initial_c, []
    for step in range(inputs.shape[1]):
        gates = inputs[:, step] @ kernel + hidden @ recurrent_kernel + bias
        input_gate, forget_gate, candidate, output_gate = tf.split(gates, 4, axis=-1)
        new_cell = tf.sigmoid(forget_gate) * cell + tf.sigmoid(input_gate) * tf.tanh(candidate)
        new_hidden = tf.sigmoid(output_gate) * tf.tanh(new_cell)
        is_real = True if lengths is None else (step < lengths)[:, tf.newaxis]
        hidden = tf.where(is_real, new_hidden, hidden)
        cell = tf.where(is_real, new_cell, cell)
        outputs.append(hidden)
    return tf.stack(outputs, axis=1), hidden, cell


def assert_close(actual, expected, tolerance, name="tensor"):
    """Asserts that `relative_error` is within the tolerance (a NaN is not)."""
    error = relative_error(actual, expected)
    assert error <= tolerance, f"{name}: relative error {error} above {tolerance}"


def assert_equal(actual, expected):
    """Asserts equality bit for bit."""
    np.testing.assert_array_equal(to_numpy(actual), to_numpy(expected))


def seed_tensor(first=1, second=2):
    """A seed as layers and models take it: int32 of shape (2,)."""
    return tf.constant([first, second], "int32")


@contextlib.contextmanager
def dtype_policy(name):
    """Sets the global dtype policy inside a `with` block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def save_and_load(model):
    """The model after a round trip through a `.keras` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        return keras.models.load_model(path)


def check_config(instance):
    """Checks that the configuration survives JSON; returns the instance made from it."""
    config = instance.get_config()
    text = json.dumps(config, sort_keys=True)
    revived = type(instance).from_config(json.loads(text))
    assert json.dumps(revived.get_config(), sort_keys=True) == text
    return revived


def _tensors(inputs):
    return keras.tree.map_structure(tf.convert_to_tensor, inputs)


def _dtypes(outputs):
    return [keras.backend.standardize_dtype(x.dtype) for x in keras.tree.flatten(outputs)]


def _check_shapes(layer_factory, inputs):
    symbols = keras.tree.map_structure(
        lambda x: keras.KerasTensor((None,) + x.shape[1:], str(x.dtype)), inputs
    )
    symbolic = keras.tree.flatten(layer_factory()(symbols))
    eager = keras.tree.flatten(layer_factory()(_tensors(inputs)))
    assert len(symbolic) == len(eager)
    for symbol, value in zip(symbolic, eager, strict=True):
        assert tuple(symbol.shape) == (None,) + tuple(value.shape[1:])
    assert _dtypes(symbolic) == _dtypes(eager)


def _check_saving(layer_factory, inputs):
    symbols = keras.tree.map_structure(
        lambda x: keras.Input(x.shape[1:], dtype=str(x.dtype)), inputs
    )
    model = keras.Model(symbols, layer_factory()(symbols))
    revived = save_and_load(model)
    for before, after in zip(model.weights, revived.weights, strict=True):
        assert_equal(after, before)
    tensors = _tensors(inputs)
    for before, after in zip(
        keras.tree.flatten(model(tensors)), keras.tree.flatten(revived(tensors)), strict=True
    ):
        assert_equal(after, before)


def _check_policy(policy, layer_factory, inputs, output_dtypes):
    with dtype_policy(policy):
        layer = layer_factory()
        outputs = layer(_tensors(inputs), training=True)
        compute_dtype = keras.config.dtype_policy().compute_dtype
    expected = output_dtypes or ["compute"] * len(keras.tree.flatten(outputs))
    assert _dtypes(outputs) == [compute_dtype if x == "compute" else x for x in expected]
    for output in keras.tree.flatten(outputs):
        assert np.all(np.isfinite(to_numpy(output)))
    for weight in layer.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"


def check_layer(layer_factory, inputs, output_dtypes=None, policies=POLICIES):
    """What every layer must do, whatever it computes.

    Its configuration survives JSON and gives an equal layer; symbolic and eager calls agree in
    shape and type; a functional model with it survives a `.keras` file; eager and `tf.function`
    agree; and it works under the dtype policies.

    Args:
        layer_factory: Callable that returns a new layer.
        inputs: Array, or structure of arrays, for the layer's first argument.
        output_dtypes: The type of each output, in order, "compute" for the policy's. All "compute"
            if not given.
        policies: Names of the dtype policies to try.
    """
    check_config(layer_factory())
    _check_shapes(layer_factory, inputs)
    _check_saving(layer_factory, inputs)
    layer = layer_factory()
    tensors = _tensors(inputs)
    eager = keras.tree.flatten(layer(tensors))
    traced = keras.tree.flatten(tf.function(layer)(tensors))
    for actual, expected in zip(traced, eager, strict=True):
        assert_close(actual, expected, 1e-6)
    for policy in policies:
        _check_policy(policy, layer_factory, inputs, output_dtypes)
