"""A tiny model and its export, created once per process."""

import atexit
import dataclasses
import functools
import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from awd_keras.data import Vocabulary
from awd_keras.models import AWDLSTMLanguageModel
from serving.limits import Limits
from serving.network import Network
from serving.saved_model import export_saved_model
from serving.signatures import Signatures
from serving.vocabulary_table import VocabularyTable

LIMITS = Limits(max_batch_size=70, max_text_words=50, max_words=20, max_k=30)
# Valid requests of two rows.
REQUESTS = {
    "score": {"text": ["w1 w2", "w3"]},
    "score_tokens": {"token_ids": [[1, 2, 3], [4, 5, 6]], "lengths": [3, 1]},
    "next_word": {"text": ["w1", "w2 w3"], "k": [2, 2]},
    "step": {"token_ids": [1, 2], "state": [[0.0] * 28] * 2},
    "generate": {
        "prompt": ["w1", "w2"],
        "max_words": [3, 5],
        "temperature": [1.0, 0.5],
        "top_k": [0, 3],
        "top_p": [1.0, 0.9],
        "seed": [0, 1],
    },
}


@dataclasses.dataclass(frozen=True)
class Exported:
    """A model, its export and the export loaded again."""

    model: AWDLSTMLanguageModel
    vocabulary: Vocabulary
    path: pathlib.Path

    @functools.cached_property
    def loaded(self):
        return tf.saved_model.load(str(self.path))

    def zero_state(self, batch_size):
        spec = self.loaded.signatures["step"].structured_input_signature[1]["state"]
        return np.zeros((batch_size, spec.shape[1]), np.float32)

    def call(self, signature, **inputs):
        """Calls a signature with lists or arrays; returns arrays by name."""
        function = self.loaded.signatures[signature]
        specs = function.structured_input_signature[1]
        tensors = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in function(**tensors).items()}

    def encode(self, text):
        """Ids of the words of a text after an `<eos>`."""
        return self.vocabulary.encode(["<eos>", *text.split()]).tolist()

    def log_probabilities(self, token_ids):
        """Of every word after each token, by the model: (num_tokens, vocabulary_size)."""
        logits = self.model(np.array([token_ids], np.int32))[0].numpy()[0].astype("float64")
        return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))

    def score(self, text):
        """The log-probability of a text and an `<eos>`, by the model."""
        token_ids = self.encode(text)
        targets = [*token_ids[1:], self.vocabulary.eos_id]
        return self.log_probabilities(token_ids)[np.arange(len(targets)), targets].sum()


def make_model(has_unk=True, **arguments):
    """Returns a tiny model with random weights, and its vocabulary."""
    words = [f"w{number}" for number in range(1, 20)]
    vocabulary = Vocabulary([*words, "<eos>", "café", "<unk>" if has_unk else "w20"])
    model = AWDLSTMLanguageModel(
        len(vocabulary), embedding_dim=6, hidden_dim=8, num_layers=2, **arguments
    )
    for index, variable in enumerate(model.weights):
        values = np.random.default_rng(index).normal(scale=0.5, size=variable.shape)
        variable.assign(values.astype("float32"))
    return model, vocabulary


def make_signatures(model, vocabulary, dtype="float32"):
    """Returns the signatures as eager functions, for variants that need no export."""
    return Signatures(Network(model, dtype), VocabularyTable(vocabulary), LIMITS)


@functools.cache
def exported():
    """The export of `make_model`."""
    model, vocabulary = make_model()
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = export_saved_model(model, vocabulary, folder, "tiny", limits=LIMITS)
    return Exported(model, vocabulary, path)
