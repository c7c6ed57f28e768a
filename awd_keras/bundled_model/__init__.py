"""The small trained model that comes with the package.

Its folder contains the settings and results of a training run, the vocabulary, and the best weights
in 8 bits. `python -m trainers.bundle` writes these files.
"""

import json
import pathlib

import numpy as np

from awd_keras.atomic_write import atomic_write
from awd_keras.data.vocabulary import Vocabulary
from awd_keras.errors import InputError
from awd_keras.models.language_model import AWDLSTMLanguageModel

FOLDER = pathlib.Path(__file__).parent
_FACTS, _VOCABULARY, _WEIGHTS = "config.json", "vocabulary.txt", "weights.npz"
_SIZES = ("embedding_dim", "hidden_dim", "num_layers", "tie_weights")
_RATES = ("input", "hidden", "output", "embedding", "weight")


def load_bundled_model(dtype=None):
    """Loads the bundled model.

    Args:
        dtype: The dtype or dtype policy of the model, such as `"mixed_bfloat16"`. Defaults to the
            global dtype policy.

    Returns:
        A tuple `(model, vocabulary, facts)`: an `AWDLSTMLanguageModel`, its `Vocabulary`, and a
        dictionary with the `settings` and `results` of the training run.

    Example:

    >>> model, vocabulary, facts = load_bundled_model()
    >>> len(vocabulary), facts["corpus"]["name"]
    (10000, 'sotu-1900')
    """
    facts = _read_facts()
    settings = facts["settings"]
    rates = {f"{name}_dropout": settings[f"{name}_dropout"] for name in _RATES}
    vocabulary = Vocabulary.load(FOLDER / _VOCABULARY)
    model = AWDLSTMLanguageModel(
        len(vocabulary),
        **{name: settings[name] for name in _SIZES},
        **{name: rate * settings["dropout_multiplier"] for name, rate in rates.items()},
        dtype=dtype,
    )
    with np.load(FOLDER / _WEIGHTS) as arrays:
        for name, variable in _variables(model).items():
            if len(variable.shape) == 1:
                variable.assign(arrays[f"float32/{name}"])
            else:
                scales = np.expand_dims(arrays[f"scales/{name}"], _axis(name))
                variable.assign(arrays[f"int8/{name}"].astype(np.float32) * scales)
    return model, vocabulary, facts


def describe_bundled_model():
    """Describes the bundled model in one line: corpus, vocabulary and test perplexity.

    Example:

    >>> print(describe_bundled_model())
    bundled model: sotu-1900, 10,000 words, test perplexity ...
    """
    facts = _read_facts()
    return (
        f"bundled model: {facts['corpus']['name']}, {facts['vocabulary_size']:,} words, "
        f"test perplexity {facts['results']['test']['perplexity']:.1f}"
    )


def write_bundled_model(model, vocabulary, facts, folder):
    """Writes the files of a bundled model.

    Matrices are stored in 8 bits, with one scale per word in the embedding and one per gate of each
    unit in the LSTMs.

    Args:
        model: An `AWDLSTMLanguageModel`.
        vocabulary: Its `Vocabulary`.
        facts: A dictionary that can be written as JSON. `settings` contains the sizes, the dropout
            rates and `dropout_multiplier`; `corpus` the `name` of the corpus; `results` the
            `perplexity` of the `test` text.
        folder: The folder to write: missing, empty, or written by this function before.

    Raises:
        InputError: If the folder contains other files.
        OSError: If a file cannot be written.
    """
    folder = pathlib.Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / _WEIGHTS).exists():
        raise InputError(
            f"{folder} must be missing, empty or the folder of a bundled model. "
            "Received: a folder that contains other files."
        )
    arrays = {}
    for name, variable in _variables(model).items():
        values = variable.numpy()
        if values.ndim == 1:
            arrays[f"float32/{name}"] = values
        else:
            # The largest entry of a row or column becomes 127.
            scales = np.max(np.abs(values), axis=_axis(name)) / np.float32(127)
            scales = np.where(scales > 0, scales, np.float32(1))
            rounded = np.rint(values / np.expand_dims(scales, _axis(name)))
            arrays[f"int8/{name}"], arrays[f"scales/{name}"] = rounded.astype(np.int8), scales
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / _WEIGHTS, "wb") as file:
        np.savez_compressed(file, **arrays)
    vocabulary.save(folder / _VOCABULARY)
    with atomic_write(folder / _FACTS, encoding="utf-8") as file:
        file.write(json.dumps({**facts, "vocabulary_size": len(vocabulary)}, indent=2) + "\n")


def _read_facts():
    return json.loads((FOLDER / _FACTS).read_text(encoding="utf-8"))


def _variables(model):
    """Returns the variables of a model by the names used in the file."""
    backbone = model.backbone
    variables = {"embedding_dropout/embedding/embeddings": backbone.embedding.embeddings}
    for index, layer in enumerate(backbone.lstm_layers):
        for name, variable in zip(("kernel", "recurrent_kernel", "bias"), layer.weights):
            variables[f"lstm_{index}/{name}"] = variable
    if not backbone.tie_weights:
        variables["decoder/embedding/embeddings"] = model.decoder.matrix
    variables["decoder/bias"] = model.decoder.bias
    return variables


def _axis(name):
    return 1 if name.endswith("embeddings") else 0
