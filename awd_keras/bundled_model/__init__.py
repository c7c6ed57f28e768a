"""The small trained model that comes with the package.

This folder contains the settings and results of a training run, its vocabulary, and its best
weights, quantized to 8 bits. `python -m trainers.bundle` writes these files.
"""

import json
import pathlib

import numpy as np

from awd_keras.atomic_write import atomic_write
from awd_keras.data.tokenizer import Tokenizer
from awd_keras.data.vocabulary import Vocabulary
from awd_keras.errors import InputError
from awd_keras.models.language_model import AWDLSTMLanguageModel

FOLDER = pathlib.Path(__file__).parent
_FACTS, _VOCABULARY, _WEIGHTS = "config.json", "vocabulary.txt", "weights.npz"
_SIZES = ("embedding_dim", "hidden_dim", "num_layers", "tie_weights")
_RATES = tuple(f"{name}_dropout" for name in ("input", "hidden", "output", "embedding", "weight"))


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
    tokenizer = Tokenizer(settings.get("tokenizer", "whitespace"), settings.get("lowercase", False))
    vocabulary = Vocabulary.load(FOLDER / _VOCABULARY, tokenizer)
    model = AWDLSTMLanguageModel(
        len(vocabulary),
        **{name: settings[name] for name in _SIZES},
        **{name: settings[name] * settings["dropout_multiplier"] for name in _RATES},
        dtype=dtype,
    )
    with np.load(FOLDER / _WEIGHTS) as arrays:
        for variable in model.weights:
            name, axis = _name_and_axis(variable)
            if axis is None:
                variable.assign(arrays[f"float32/{name}"])
            else:
                scales = np.expand_dims(arrays[f"scales/{name}"], axis)
                variable.assign(arrays[f"int8/{name}"].astype(np.float32) * scales)
    return model, vocabulary, facts


def describe_bundled_model():
    """Describes the bundled model in one line.

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
        facts: A JSON-serializable dictionary with the keys `settings` (sizes, dropout rates and
            `dropout_multiplier`), `corpus` (with its `name`) and `results` (with the `perplexity`
            of the `test` text).
        folder: The folder to write to: new, empty, or a bundled model, which is replaced.

    Raises:
        InputError: If the folder contains other files.
        OSError: If a file cannot be written.
    """
    folder = pathlib.Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / _WEIGHTS).exists():
        raise InputError(
            f"{folder} must be new, empty or a bundled model. Received: a folder with other files."
        )
    arrays = {}
    for variable in model.weights:
        (name, axis), values = _name_and_axis(variable), variable.numpy()
        if axis is None:
            arrays[f"float32/{name}"] = values
        else:
            # The largest entry of a row or column becomes 127.
            scales = np.max(np.abs(values), axis=axis) / np.float32(127)
            scales = np.where(scales > 0, scales, np.float32(1))
            rounded = np.rint(values / np.expand_dims(scales, axis))
            arrays[f"int8/{name}"], arrays[f"scales/{name}"] = rounded.astype(np.int8), scales
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / _WEIGHTS, "wb") as file:
        np.savez_compressed(file, **arrays)
    vocabulary.save(folder / _VOCABULARY)
    with atomic_write(folder / _FACTS, encoding="utf-8") as file:
        file.write(json.dumps({**facts, "vocabulary_size": len(vocabulary)}, indent=2) + "\n")


def _read_facts():
    return json.loads((FOLDER / _FACTS).read_text(encoding="utf-8"))


def _name_and_axis(variable):
    """Returns a variable's name in the file, and the axis along which entries share a scale."""
    axis = {"bias": None, "embeddings": 1}.get(variable.name, 0)
    return variable.path.replace("/lstm_cell", ""), axis
