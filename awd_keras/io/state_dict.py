"""Reads and writes state dicts: named arrays in `.safetensors`, `.pt` or `.pth` files."""

import pathlib

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np
import safetensors
import safetensors.numpy

from awd_keras.atomic_write import atomic_write
from awd_keras.errors import InputError

_SUFFIXES = (".safetensors", ".pt", ".pth")


def read_state_dict(path):
    """Reads the arrays of a file. Pickled code is never run.

    Args:
        path: A `.safetensors` file, or a `.pt` or `.pth` file, which needs PyTorch. fastai 0.7
            named the latter `.h5`.

    Returns:
        A dictionary of NumPy arrays.

    Raises:
        OSError: If the file cannot be opened.
        InputError: If the file is damaged or contains objects other than tensors, such as a model.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "weights.safetensors")
    >>> write_state_dict(path, {"decoder.bias": np.zeros(3, "float32")})
    >>> read_state_dict(path)
    {'decoder.bias': array([0., 0., 0.], dtype=float32)}
    """
    path, torch = _path_and_torch(path, (*_SUFFIXES, ".h5"))
    if torch is None:
        try:
            with safetensors.safe_open(path, framework="np") as file:
                return {name: file.get_tensor(name) for name in file.keys()}
        except safetensors.SafetensorError as error:
            raise InputError(f"{path} cannot be read: {error!r}") from error
    try:
        state_dict = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch.load raises many kinds for other files
        raise InputError(
            f"{path} is damaged or contains more than tensors. If it is a pickled model that you "
            "trust, load it with torch.load(..., weights_only=False) and save its state_dict()."
        ) from error
    for key in ("model", "state_dict"):  # fastai's and PyTorch Lightning's checkpoints
        if isinstance(state_dict, dict) and isinstance(state_dict.get(key), dict):
            state_dict = state_dict[key]
    if not isinstance(state_dict, dict) or not all(isinstance(key, str) for key in state_dict):
        raise InputError(
            f"{path} must contain a state dict: tensors by name. "
            f"Received: {type(state_dict).__name__}"
        )
    return {name: to_array(name, tensor) for name, tensor in state_dict.items()}


def write_state_dict(path, arrays):
    """Writes arrays to a file.

    Args:
        path: A `.safetensors` file, or a `.pt` or `.pth` file, which needs PyTorch. Its folder is
            created if necessary.
        arrays: A dictionary of NumPy arrays. A `.pt` or `.pth` file stores an array that has two
            names only once.

    Raises:
        InputError: If the suffix is unknown, or PyTorch is not installed.
        OSError: If the file cannot be written.
    """
    path, torch = _path_and_torch(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as file:
        if torch is None:
            # safetensors ignores strides, so transposed arrays must be copied.
            arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            file.write(safetensors.numpy.save(arrays, metadata={"format": "pt"}))
        else:
            tensors = {id(array): torch.tensor(array) for array in arrays.values()}
            torch.save({name: tensors[id(array)] for name, array in arrays.items()}, file)


def to_array(name, value):
    """Converts a floating-point array or tensor to NumPy, and half precision to float32."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    array = np.asarray(value)
    if array.dtype.name in ("bfloat16", "float16"):
        return array.astype("float32")
    if array.dtype.name not in ("float32", "float64"):
        raise InputError(f"{name} must be a floating-point array. Received: {array.dtype.name}")
    return array


def _path_and_torch(path, suffixes=_SUFFIXES):
    """Returns a path, and PyTorch if the file needs it."""
    path = pathlib.Path(path)
    if path.suffix not in suffixes:
        raise InputError(f"The suffix must be one of {', '.join(suffixes)}. Received: {path}")
    if path.suffix == ".safetensors":
        return path, None
    try:
        import torch
    except ImportError:
        raise InputError(f"{path} needs PyTorch. Install it, or use a .safetensors file.") from None
    return path, torch
