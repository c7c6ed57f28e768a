"""The small trained model that comes with the package, and how it is made of a run.

Three files in `awd_keras/bundled_model/`: the run's settings, its vocabulary, and its best weights
in 8 bits, one scale for each word and for each gate of each unit. `python -m trainers.bundle`
writes them.
"""

import json
import os
import pathlib
import shutil

import numpy as np

from awd_keras.data.vocabulary import Vocabulary
from awd_keras.ops.quantization import dequantize, quantize
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training import factory
from trainers.training.run_folder import RunFolder

FOLDER = pathlib.Path(__file__).parent / "bundled_model"
_CONFIG, _VOCABULARY, _WEIGHTS = _FILES = "config.json", "vocabulary.txt", "weights.npz"
# What a run has on record and nobody else can use.
_FORGOTTEN = {"data_dir": None, "initial_run": None}


def load_model(workdir=None, dtype=None):
    """The trained model of a run folder, or the one that comes with the package.

    Args:
        workdir: the folder of a run; None for the bundled model.
        dtype: None for the dtype of the run, or "float32" or "bfloat16".

    Returns:
        `(model, vocabulary, config)`, as `factory.load_run`.

    Raises:
        UserError: if the folder holds no run, or the package no model.
        UserError: if the run has no best weights yet, or they cannot be read.
    """
    if workdir is None:
        return read_bundled_model(dtype=dtype)
    return factory.load_run(workdir, dtype)


def describe(folder=FOLDER):
    """A few words on the bundled model.

    Example:

    >>> print(describe())
    the bundled model: sotu-1900, ... words, test perplexity ...
    """
    facts = _read_facts(folder)
    words = f"the bundled model: {facts['corpus']['name']}, {facts['vocabulary_size']:,} words"
    test = (facts.get("results") or {}).get("test")
    return f"{words}, test perplexity {test['perplexity']:.1f}" if test else words


def write_bundled_model(workdir, folder=FOLDER):
    """Makes the three files of the best weights of a run.

    Args:
        workdir: the run folder.
        folder: where to write: new, empty, or the folder of an older such model, whose files are
            replaced, all or none. Until the new ones are in place the old ones are kept beside it.

    Returns:
        size of the files in bytes.

    Raises:
        UserError: as `factory.load_run`, or if the folder holds anything else.
        UserError: as `factory.load_run`.
    """
    folder = pathlib.Path(folder).resolve()
    _check_may_replace(folder)
    model, vocabulary, config = factory.load_run(workdir, "float32")
    run = RunFolder(workdir)
    results = run.read_results() or {}
    facts = {
        "settings": config.replace(**_FORGOTTEN).to_dict(),
        "corpus": {"name": run.read_config()[1].get("name")},
        "results": {split: results[split] for split in ("validation", "test") if split in results},
        "vocabulary_size": len(vocabulary),
    }
    arrays = {}
    for variable in model.weights:
        values = variable.numpy()
        if values.ndim == 2:
            quantized, scales = quantize(values, _axis(variable))
            arrays[f"int8/{variable.path}"] = quantized
            arrays[f"scales/{variable.path}"] = scales
        else:
            arrays[f"float32/{variable.path}"] = values
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    beside.mkdir(parents=True)
    try:
        text = json.dumps(facts, indent=2) + "\n"
        (beside / _CONFIG).write_text(text, encoding="utf-8")
        vocabulary.save(beside / _VOCABULARY)
        np.savez_compressed(beside / _WEIGHTS, **arrays)
        _replace(folder, beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return sum(path.stat().st_size for path in folder.iterdir())


def _check_may_replace(folder):
    """Nothing is ever deleted but a model of ours: a mistyped folder may be somebody's work."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file. Choose another folder by --output.")
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if found and found != set(_FILES):
        raise UserError(
            f"Expected a new folder, an empty one, or one with {', '.join(_FILES)} and nothing "
            f"else. Received: {folder} with {', '.join(sorted(found)[:5])}. Choose another by "
            "--output; nothing was changed."
        )


def _replace(folder, beside):
    """Puts a folder in the place of another; whenever it is killed, one of them is complete."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    existed = folder.exists()
    if existed:
        folder.rename(aside)
    try:
        beside.rename(folder)
    except BaseException:
        if existed:
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def read_bundled_model(folder=FOLDER, dtype=None):
    """Reads what `write_bundled_model` wrote.

    Args:
        folder: the folder.
        dtype: None for the dtype of the run, or "float32" or "bfloat16".

    Returns:
        `(model, vocabulary, config)`; the weights are those that the 8 bits stand for.

    Raises:
        UserError: if it holds no model, or a damaged one.
    """
    folder = pathlib.Path(folder)
    facts = _read_facts(folder)
    try:
        config = TrainingConfig.from_dict(facts["settings"])
        if dtype is not None:
            config = config.replace(dtype=dtype)
        vocabulary = Vocabulary.load(folder / _VOCABULARY)
        model = factory.build_model(config, len(vocabulary))
        with np.load(folder / _WEIGHTS, allow_pickle=False) as archive:
            values = {variable.path: _values(archive, variable) for variable in model.weights}
    except Exception as error:  # a damaged archive makes NumPy and zipfile raise nearly anything
        raise UserError(
            f"The bundled model in {folder} cannot be read ({str(error) or type(error).__name__}). "
            "Install the package again, or name a trained run by --workdir."
        ) from error
    for variable in model.weights:
        variable.assign(values[variable.path])
    return model, vocabulary, config


def _read_facts(folder):
    try:
        return json.loads((pathlib.Path(folder) / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"There is no bundled model in {folder} ({error}). Name a trained run by --workdir."
        ) from error


def _axis(variable):
    """A scale for each word, and for each gate of each unit."""
    return 0 if variable.path.endswith("/embeddings") else 1


def _values(archive, variable):
    if len(variable.shape) == 2:
        quantized = archive[f"int8/{variable.path}"]
        values = dequantize(quantized, archive[f"scales/{variable.path}"], _axis(variable))
    else:
        values = archive[f"float32/{variable.path}"]
    if values.shape != tuple(variable.shape):
        raise ValueError(f"{variable.path} has shape {values.shape}, not {tuple(variable.shape)}")
    return values
