"""Checkpoints: one file of arrays and facts, written beside its place and renamed.

A checkpoint is a NumPy archive. It is never unpickled, its zip checksums find corruption, and the
rename is atomic: whoever kills the program at any moment finds the old file or the new one.
"""

import json
import pathlib

import numpy as np

from awd_keras.atomic_write import atomic_write
from trainers.errors import UserError

FORMAT_VERSION = 1
_FACTS = "facts.json"


def write_checkpoint(path, arrays, facts):
    """Writes a checkpoint in place of the one before.

    Args:
        path: the file; its folder is made.
        arrays: dictionary of NumPy arrays.
        facts: dictionary that JSON can hold.

    Raises:
        OSError: if there is no space or no permission; the file before remains.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": FORMAT_VERSION, **facts})
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays, **{_FACTS: np.frombuffer(text.encode(), np.uint8)})


def read_checkpoint(path):
    """Reads what `write_checkpoint` wrote.

    Args:
        path: the file.

    Returns:
        `(arrays, facts)`.

    Raises:
        UserError: if the file is missing, corrupt or of another format.
    """
    path = pathlib.Path(path)
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
            "away to start from the beginning, or put a copy in its place."
        ) from error
    if version != FORMAT_VERSION:
        raise UserError(
            f"The checkpoint {path} has format {version}, expected {FORMAT_VERSION}: it was "
            "written by another version."
        )
    return arrays, facts


def restore_variables(variables, arrays, prefix, path):
    """Assigns arrays to variables of the same names.

    Args:
        variables: dictionary of name to variable.
        arrays: dictionary of arrays, as read.
        prefix: what stands before the names in `arrays`.
        path: the file, for messages.

    Raises:
        UserError: if one is missing or has another shape; nothing is assigned then.
    """
    for name, variable in variables.items():
        array = arrays.get(prefix + name)
        if array is None:
            raise UserError(f"The checkpoint {path} has no {prefix + name}.")
        if array.shape != tuple(variable.shape):
            raise UserError(
                f"{prefix + name} in {path} has shape {array.shape}, expected "
                f"{tuple(variable.shape)}."
            )
    for name, variable in variables.items():
        variable.assign(arrays[prefix + name])
