"""One version of a SavedModel, run in a session as TF-Serving runs it, with its status codes."""

import os
import pathlib

import numpy as np
import tensorflow as tf

from serving.status import StatusError

DEFAULT_SIGNATURE = "serving_default"
# TF-Serving's own signatures for bookkeeping are no signatures to call.
_INTERNAL = "__saved_model_init_op"


class ModelFolderError(Exception):
    """A folder that holds no model that can be served."""


def find_version(folder, version=None):
    """Finds the version of a model to serve.

    Args:
        folder: `.../<name>` with `<version>/saved_model.pb` in it, the version a whole number;
            or `.../<name>/<version>` itself; or a folder with one such `<name>` in it.
        version: integer; default: the highest there is.

    Returns:
        `(name, version, path)`.

    Raises:
        ModelFolderError: if there is none.
    """
    folder = pathlib.Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise ModelFolderError(f"There is no folder {folder}.")
    if _is_version(folder):
        folder, version = folder.parent, int(folder.name) if version is None else version
    versions = _versions(folder)
    if not versions:
        models = [path for path in sorted(folder.iterdir()) if path.is_dir() and _versions(path)]
        if len(models) > 1:
            names = ", ".join(path.name for path in models)
            raise ModelFolderError(f"{folder} holds several models, choose one: {names}.")
        if not models:
            raise ModelFolderError(
                f"{folder} is no model: expected <version>/saved_model.pb in it, the version a "
                "whole number, as `python -m serving.export` writes it."
            )
        folder = models[0]
        versions = _versions(folder)
    version = max(versions) if version is None else version
    if version not in versions:
        there = ", ".join(map(str, sorted(versions)))
        raise ModelFolderError(f"{folder} has no version {version}. It has: {there}.")
    return folder.name, version, versions[version]


def _is_version(path):
    return path.name.isascii() and path.name.isdigit() and (path / "saved_model.pb").is_file()


def _versions(folder):
    try:
        return {int(path.name): path for path in folder.iterdir() if _is_version(path)}
    except PermissionError:
        return {}


class Servable:
    """A loaded SavedModel.

    Args:
        path: folder with `saved_model.pb` in it.
        name: the model's name.
        version: integer.
        labels: names of this version, which requests may use for its number.

    Raises:
        ModelFolderError: if TensorFlow cannot load it.
    """

    def __init__(self, path, name, version, labels=()):
        self.name = name
        self.version = version
        self.labels = tuple(labels)
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(
                    self._session, [tf.saved_model.SERVING], str(path)
                )
        except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
            self._session.close()
            reason = " ".join(str(error).split())[:500]
            raise ModelFolderError(f"{path} cannot be loaded: {reason}") from None
        self.signatures = {
            name: signature
            for name, signature in meta_graph.signature_def.items()
            if not name.startswith(_INTERNAL)
        }

    def close(self):
        """Frees what it holds. Requests after it get UNAVAILABLE."""
        self._session.close()

    def input_dtypes(self, signature_name):
        """What a signature takes.

        Args:
            signature_name: name; '' for the default.

        Returns:
            dictionary of input name to NumPy dtype; `object` for strings.

        Raises:
            StatusError: INVALID_ARGUMENT, if there is no such signature.
        """
        name = signature_name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise StatusError(
                "INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def'
            )
        inputs = self.signatures[name].inputs
        return {key: np.dtype(_dtype(inputs[key]).as_numpy_dtype) for key in sorted(inputs)}

    def predict(self, signature_name, inputs, output_filter=(), timeout=None):
        """Runs a signature.

        Args:
            signature_name: name; '' for the default.
            inputs: dictionary of name to array.
            output_filter: names of the outputs wished; empty for all.
            timeout: None, or seconds after which to give up.

        Returns:
            dictionary of output name to array.

        Raises:
            StatusError: FAILED_PRECONDITION, if there is no such signature; INVALID_ARGUMENT, if
                the inputs are not what it takes; DEADLINE_EXCEEDED; or as the graph fails.
        """
        name = signature_name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            # Another code than REST has for it: that is how TF-Serving answers.
            raise StatusError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        _check_names(signature.inputs, inputs)
        for key, array in inputs.items():
            _check_input(key, signature.inputs[key], array)
        wished = _check_filter(signature.outputs, output_filter)
        feeds = {signature.inputs[key].name: array for key, array in inputs.items()}
        fetches = {key: signature.outputs[key].name for key in wished}
        options = None
        if timeout is not None:
            options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, int(1000 * timeout)))
        try:
            outputs = self._session.run(fetches, feeds, options=options)
        except tf.errors.OpError as error:
            raise _status_of(error) from None
        except RuntimeError as error:  # a closed session
            raise StatusError("UNAVAILABLE", str(error)) from None
        return {key: np.asarray(outputs[key]) for key in wished}


def read_tensors(protos, max_bytes):
    """Makes arrays of the tensors of a request.

    Args:
        protos: mapping of name to `TensorProto`.
        max_bytes: the most that one array may take. A few bytes of a request can stand for a
            tensor of any size, as its last value is repeated.

    Returns:
        dictionary of name to array.

    Raises:
        StatusError: INVALID_ARGUMENT, if one is malformed or too large.
    """
    arrays = {}
    for name in protos:
        proto = protos[name]
        try:
            size = tf.TensorShape(proto.tensor_shape).num_elements()
            dtype = tf.as_dtype(proto.dtype)
            if size is None or size * max(dtype.size or 0, 1) > max_bytes:
                raise ValueError(f"its shape {_shape_text(proto.tensor_shape)} is too large")
            arrays[name] = tf.make_ndarray(proto)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise StatusError(
                "INVALID_ARGUMENT", f"tensor parsing error: {name}: {error}"
            ) from None
    return arrays


def _dtype(info):
    return tf.as_dtype(info.dtype)


def _check_names(infos, inputs):
    extra, missing = sorted(set(inputs) - set(infos)), sorted(set(infos) - set(inputs))
    if extra or missing:
        raise StatusError(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(inputs)}!={len(infos)} "
            f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}.",
        )


def _check_input(name, info, array):
    expected, shape = _dtype(info), tf.TensorShape(info.tensor_shape)
    given = tf.as_dtype(array.dtype)
    if given != expected:
        raise StatusError(
            "INVALID_ARGUMENT",
            f"Expects arg {name} to be {expected.name} but {given.name} is provided",
        )
    if not shape.is_compatible_with(array.shape):
        raise StatusError(
            "INVALID_ARGUMENT",
            f"Expects arg {name} to have the shape {_shape_text(info.tensor_shape)}, ? standing "
            f"for any length. Received: {list(array.shape)}",
        )


def _shape_text(proto):
    if proto.unknown_rank:
        return "?"
    return "[" + ", ".join("?" if dim.size < 0 else str(dim.size) for dim in proto.dim) + "]"


def _check_filter(infos, output_filter):
    for index, key in enumerate(output_filter):
        if key not in infos:
            raise StatusError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {key} Outputs expected to be in the "
                f"set {{{','.join(sorted(infos))}}}.",
            )
        if key in output_filter[:index]:
            raise StatusError("INVALID_ARGUMENT", f"duplicate output tensor alias: {key}")
    return list(output_filter) or sorted(infos)


_CODE_NAMES = {
    value: name
    for name, value in vars(tf.errors).items()
    if name.isupper() and isinstance(value, int)
}


def _status_of(error):
    """What failed, without the traceback of the machine that built the graph."""
    message = error.message.removeprefix("Graph execution error:")
    message = message.partition("\n\nOriginal stack trace")[0]
    return StatusError(_CODE_NAMES.get(error.error_code, "UNKNOWN"), message.strip()[:2000])
