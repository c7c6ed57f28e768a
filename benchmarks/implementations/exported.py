"""This library's export, run as `serving.local` and TF-Serving run it: in a session, texts in.

A workload's dtype is "float32", "bfloat16" or "int8" (float32 products of weights kept in 8 bits).
"""

import os
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf

from serving.servable import Servable


def export(workload, folder):
    """Writes a model of the workload's sizes with random weights; returns the version's folder."""
    from awd_keras.data import Vocabulary
    from awd_keras.models import AWDLSTMLanguageModel
    from serving.saved_model import export_saved_model

    tf.keras.utils.set_random_seed(workload.seed)
    model = AWDLSTMLanguageModel(
        workload.vocabulary_size,
        embedding_dim=workload.embedding_dim,
        hidden_dim=workload.hidden_dim,
        num_layers=workload.num_layers,
    )
    model(np.zeros((1, 1), np.int32))
    words = ["<unk>", "<eos>"] + [f"w{index}" for index in range(2, workload.vocabulary_size)]
    int8 = workload.dtype == "int8"
    return export_saved_model(
        model,
        Vocabulary(words),
        folder,
        "benchmark",
        dtype="float32" if int8 else workload.dtype,
        weights="int8" if int8 else None,
    ).path


def inputs_of(call, workload, index, state_size):
    """The inputs of a call: arrays by name."""
    ids = workload.text(index)[:, 1:]  # the torch peer reads the same words
    rows = len(ids)
    text = np.array([" ".join(f"w{i}" if i > 1 else "<unk>" for i in row) for row in ids], object)
    text = np.array([row.encode() for row in text], object)
    if call == "score":
        return {"text": text}
    if call == "next_word":
        return {"text": text, "k": np.full(rows, 5, np.int32)}
    if call == "step":
        return {"token_ids": ids[:, 0].copy(), "state": np.zeros((rows, state_size), np.float32)}
    return {
        "prompt": np.array([row.split()[0] for row in text], object),
        "max_words": np.full(rows, workload.timesteps, np.int32),
        "temperature": np.ones(rows, np.float32),
        "top_k": np.full(rows, 20, np.int32),
        "top_p": np.full(rows, 0.9, np.float32),
        "seed": np.arange(rows, dtype=np.int64) + index,
    }


class Implementation:
    """An export and its calls; each returns seconds, without what makes the inputs."""

    def __init__(self, workload):
        self.framework = f"TensorFlow {tf.__version__}"
        self._workload = workload
        path = os.environ.get("BENCHMARK_EXPORT")
        if path is None:
            self._folder = tempfile.TemporaryDirectory()
            path = export(workload, self._folder.name)
        self._servable = Servable(pathlib.Path(path), "benchmark", 1)
        state = self._servable.signatures["step"].inputs["state"]
        self._state_size = state.tensor_shape.dim[1].size

    def _call(self, call, index):
        inputs = inputs_of(call, self._workload, index, self._state_size)
        start = time.perf_counter()
        self._servable.predict(call, inputs)
        return time.perf_counter() - start

    def score(self, index):
        return self._call("score", index)

    def next_word(self, index):
        return self._call("next_word", index)

    def step(self, index):
        return self._call("step", index)

    def generate(self, index):
        return self._call("generate", index)
