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
    """Writes a dictionary of arrays and one of facts for JSON in place of the previous file."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": FORMAT_VERSION, **facts})
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays, **{_FACTS: np.frombuffer(text.encode(), np.uint8)})


def read_checkpoint(path):
    """Returns what `write_checkpoint` wrote, `(arrays, facts)`.

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
    """Assigns arrays to the variables of the same names, all or none.

    Args:
        variables: A dictionary of name to variable.
        arrays: A dictionary of name to array.
        path: The checkpoint, for messages.

    Raises:
        UserError: If an array is missing or has another shape.
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


def weights_by_name(model):
    """Returns the weights of a model by their names in checkpoints, `weights/lstm_0/kernel`."""
    paths = {variable.path.replace("/lstm_cell/", "/"): variable for variable in model.weights}
    return {f"weights/{path}": variable for path, variable in paths.items()}


def save_weights(path, model, facts):
    """Writes a checkpoint of the current weights, with facts such as where they come from."""
    arrays = {name: variable.numpy() for name, variable in weights_by_name(model).items()}
    write_checkpoint(path, arrays, facts)


def load_weights(path, model):
    """Restores the weights from a checkpoint of weights or of a training state.

    Returns:
        The facts saved with them.

    Raises:
        UserError: If the file is corrupt or belongs to another model.
    """
    arrays, facts = read_checkpoint(path)
    restore_variables(weights_by_name(model), arrays, path)
    return facts
