"""Checkpoints: arrays and facts in one file, replaced atomically.

A checkpoint is a NumPy archive. It is never unpickled, and its checksums reveal corruption. A
program killed at any moment leaves the old file or the new one.
"""

import json
import pathlib

import numpy as np

from awd_keras.atomic_write import atomic_write
from trainers.errors import UserError

FORMAT_VERSION = 1
_FACTS = "facts.json"


def write_checkpoint(path, arrays, facts):
    """Writes a checkpoint in place of the previous one.

    Args:
        path: The file; its folder is created.
        arrays: A dictionary of NumPy arrays.
        facts: A dictionary that JSON can represent.

    Raises:
        OSError: If the file cannot be written; the previous one remains.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": FORMAT_VERSION, **facts})
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays, **{_FACTS: np.frombuffer(text.encode(), np.uint8)})


def read_checkpoint(path):
    """Reads what `write_checkpoint` wrote.

    Args:
        path: The file.

    Returns:
        A tuple `(arrays, facts)`.

    Raises:
        UserError: If the file is missing, corrupt or has another format.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(arrays.pop(_FACTS).tobytes().decode())
        version = facts.get("format_version")
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}.") from None
    except OSError as error:
        raise UserError(f"The checkpoint {path} cannot be read: {error}.") from error
    except Exception as error:  # a damaged file makes NumPy and zipfile raise nearly anything
        raise UserError(
            f"The checkpoint {path} is corrupt ({str(error) or type(error).__name__}). Move it "
            "away to start from the beginning, or restore it from a copy."
        ) from error
    if version != FORMAT_VERSION:
        raise UserError(
            f"The checkpoint {path} has format {version}, expected {FORMAT_VERSION}: it was "
            "written by another version."
        )
    return arrays, facts


def restore_variables(variables, arrays, path):
    """Assigns arrays to the variables of the same names.

    Args:
        variables: A dictionary of name to variable.
        arrays: A dictionary of name to array.
        path: The checkpoint, for messages.

    Raises:
        UserError: If an array is missing or has another shape; nothing is assigned then.
    """
    for name, variable in variables.items():
        if name not in arrays:
            raise UserError(f"The checkpoint {path} has no {name}.")
        if arrays[name].shape != tuple(variable.shape):
            raise UserError(
                f"{name} in {path} has shape {arrays[name].shape}, expected "
                f"{tuple(variable.shape)}."
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def weight_names(model):
    """Returns a dictionary of names in checkpoints to the weights of a model."""
    return {f"weights/{variable.path}": variable for variable in model.weights}


def save_weights(path, model, facts):
    """Writes the current weights of a model.

    Args:
        path: The file.
        model: The model.
        facts: A dictionary that JSON can represent, such as where the weights come from.
    """
    arrays = {name: variable.numpy() for name, variable in weight_names(model).items()}
    write_checkpoint(path, arrays, facts)


def load_weights(path, model):
    """Restores the weights from a checkpoint of weights or of a whole training state.

    Args:
        path: The file.
        model: A model of the same sizes; its weights are changed.

    Returns:
        The facts saved with them.

    Raises:
        UserError: If the file is corrupt or belongs to another model.
    """
    arrays, facts = read_checkpoint(path)
    restore_variables(weight_names(model), arrays, path)
    return facts
