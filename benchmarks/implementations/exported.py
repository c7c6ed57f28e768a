"""The SavedModel exported by this library, called in the process."""

import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from awd_keras.data import Vocabulary
from awd_keras.models import AWDLSTMLanguageModel
from serving.saved_model import export_saved_model


def export(workload, folder):
    """Exports a model of the workload's sizes with random weights; returns the version's folder."""
    keras.utils.set_random_seed(workload.seed)
    model = AWDLSTMLanguageModel(
        workload.vocabulary_size,
        embedding_dim=workload.embedding_dim,
        hidden_dim=workload.hidden_dim,
        num_layers=workload.num_layers,
    )
    model(np.zeros((1, 1), np.int32))
    words = ["<unk>", "<eos>"] + [f"w{index}" for index in range(2, workload.vocabulary_size)]
    vocabulary = Vocabulary(words)
    return export_saved_model(model, vocabulary, folder, "benchmark", dtype=workload.dtype)


class Implementation:
    """The signatures of the export. Each call returns its seconds, without creating the inputs."""

    def __init__(self, workload):
        self.framework = f"TensorFlow {tf.__version__}"
        self.workload = workload
        self._folder = tempfile.TemporaryDirectory()
        self._model = tf.saved_model.load(str(export(workload, self._folder.name)))
        inputs = self._model.signatures["step"].structured_input_signature[1]
        self._state_size = inputs["state"].shape[1]

    def _words(self, index):
        """Returns ids, and the same as rows of text."""
        ids = self.workload.text(index)[:, 1:]
        return ids, [" ".join(f"w{i}" if i > 1 else "<unk>" for i in row) for row in ids]

    def _seconds(self, call, **inputs):
        signature = self._model.signatures[call]
        start = time.perf_counter()
        outputs = signature(**{name: tf.constant(x) for name, x in inputs.items()})
        for tensor in outputs.values():
            tensor.numpy()
        return time.perf_counter() - start

    def score(self, index):
        return self._seconds("score", text=self._words(index)[1])

    def next_word(self, index):
        texts = self._words(index)[1]
        return self._seconds("next_word", text=texts, k=np.full(len(texts), 5, np.int32))

    def step(self, index):
        ids = self._words(index)[0][:, 0]
        state = np.zeros((len(ids), self._state_size), np.float32)
        return self._seconds("step", token_ids=ids, state=state)

    def generate(self, index):
        prompts = [text.split()[0] for text in self._words(index)[1]]
        rows = len(prompts)
        return self._seconds(
            "generate",
            prompt=prompts,
            max_words=np.full(rows, self.workload.timesteps, np.int32),
            temperature=np.ones(rows, np.float32),
            top_k=np.full(rows, 20, np.int32),
            top_p=np.full(rows, 0.9, np.float32),
            seed=np.arange(rows, dtype=np.int64) + index,
        )
