"""Tiny models and their exports, made once in a process."""

import atexit
import dataclasses
import functools
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from serving.saved_model import Export, export_saved_model
from tests.trainers.trained_run import make_run


@dataclasses.dataclass(frozen=True)
class Exported:
    model: object
    vocabulary: object
    export: Export

    @functools.cached_property
    def signatures(self):
        # Held, as its tables are the model's.
        self.__dict__["loaded"] = tf.saved_model.load(str(self.export.path))
        return self.loaded.signatures

    def zero_state(self, batch_size):
        spec = self.signatures["step"].structured_input_signature[1]["state"]
        return np.zeros((batch_size, spec.shape[1]), np.float32)

    def call(self, signature, **inputs):
        """Calls a signature with lists or arrays; returns arrays by name."""
        function = self.signatures[signature]
        specs = function.structured_input_signature[1]
        tensors = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in function(**tensors).items()}


@functools.cache
def folder():
    path = pathlib.Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@functools.cache
def run(**changes):
    """`(workdir, model, vocabulary)` of a tiny run."""
    workdir = folder() / f"run{len(list(folder().iterdir()))}"
    return workdir, *make_run(workdir, **changes)


@functools.cache
def exported(dtype="float32", weights=None, **changes):
    """A tiny run, exported."""
    _, model, vocabulary = run(**changes)
    export = export_saved_model(
        model, vocabulary, folder() / "exported", "tiny", dtype=dtype, weights=weights
    )
    return Exported(model, vocabulary, export)


def log_probabilities_of(model, token_ids):
    """NumPy, float64: of every word after each of these, (num_tokens, vocabulary_size)."""
    logits = model(np.array([token_ids], np.int32))[0].numpy()[0].astype("float64")
    return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
