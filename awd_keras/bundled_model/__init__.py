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
_RATES = (
    "input_dropout",
    "hidden_dropout",
    "output_dropout",
    "embedding_dropout",
    "weight_dropout",
)


def load_bundled_model(dtype=None, folder=FOLDER):
    """Loads the bundled model.

    Args:
        dtype: The dtype or dtype policy of the model, such as `"mixed_bfloat16"`. Defaults to the
            global dtype policy.
        folder: The folder to read. Defaults to the folder of the package.

    Returns:
        A tuple `(model, vocabulary, facts)`: an `AWDLSTMLanguageModel`, its `Vocabulary`, and a
        dictionary with the `settings` and `results` of the training run.

    Raises:
        OSError: If a file is missing.

    Example:

    >>> model, vocabulary, facts = load_bundled_model()
    >>> len(vocabulary), facts["corpus"]["name"]
    (10000, 'sotu-1900')
    """
    folder = pathlib.Path(folder)
    facts = _read_facts(folder)
    settings = facts["settings"]
    vocabulary = Vocabulary.load(folder / _VOCABULARY)
    model = AWDLSTMLanguageModel(
        len(vocabulary),
        **{name: settings[name] for name in _SIZES},
        **{name: settings[name] * settings["dropout_multiplier"] for name in _RATES},
        dtype=dtype,
    )
    with np.load(folder / _WEIGHTS) as arrays:
        for name, variable in _variables(model).items():
            if len(variable.shape) == 1:
                values = arrays[f"float32/{name}"]
            else:
                values = _dequantize(arrays[f"int8/{name}"], arrays[f"scales/{name}"], _axis(name))
            variable.assign(values)
    return model, vocabulary, facts


def describe_bundled_model(folder=FOLDER):
    """Describes the bundled model in one line.

    Args:
        folder: The folder to read. Defaults to the folder of the package.

    Returns:
        A string with the name of the corpus, the size of the vocabulary and, if it was measured,
        the perplexity of the test text.

    Example:

    >>> print(describe_bundled_model())
    bundled model: sotu-1900, 10,000 words, test perplexity ...
    """
    facts = _read_facts(pathlib.Path(folder))
    text = f"bundled model: {facts['corpus']['name']}, {facts['vocabulary_size']:,} words"
    test = facts["results"].get("test")
    return f"{text}, test perplexity {test['perplexity']:.1f}" if test else text


def write_bundled_model(model, vocabulary, facts, folder):
    """Writes the files that `load_bundled_model` reads.

    Matrices are stored in 8 bits, with one scale per word in the embedding and one per gate of each
    unit in the LSTMs.

    Args:
        model: An `AWDLSTMLanguageModel`.
        vocabulary: Its `Vocabulary`.
        facts: A dictionary that can be written as JSON. `settings` contains the sizes, the dropout
            rates and `dropout_multiplier`; `corpus` the `name` of the corpus; `results` may contain
            the `perplexity` of the `test` text.
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
            arrays[f"int8/{name}"], arrays[f"scales/{name}"] = _quantize(values, _axis(name))
    facts = {**facts, "vocabulary_size": len(vocabulary)}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / _WEIGHTS, "wb") as file:
        np.savez_compressed(file, **arrays)
    vocabulary.save(folder / _VOCABULARY)
    with atomic_write(folder / _FACTS, encoding="utf-8") as file:
        file.write(json.dumps(facts, indent=2) + "\n")


def _read_facts(folder):
    return json.loads((folder / _FACTS).read_text(encoding="utf-8"))


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


def _quantize(matrix, axis):
    """Rounds a matrix to int8 with one scale along `axis`; the largest entry becomes 127."""
    scales = np.max(np.abs(matrix), axis=axis) / np.float32(127)
    scales = np.where(scales > 0, scales, np.float32(1))
    return np.rint(matrix / np.expand_dims(scales, axis)).astype(np.int8), scales


def _dequantize(quantized, scales, axis):
    return quantized.astype(np.float32) * np.expand_dims(scales, axis)
