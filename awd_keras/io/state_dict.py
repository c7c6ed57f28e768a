"""State dicts on disk: names and arrays, in `.safetensors`, `.pt` or `.pth` files.

Nothing is ever unpickled: a file that holds more than tensors is refused. PyTorch is imported only
for its own files.
"""

import importlib
import pathlib
import pickle
import re

import ml_dtypes  # noqa: F401  (tells NumPy what bfloat16 is)
import numpy as np
import safetensors
import safetensors.numpy

from awd_keras.atomic_write import atomic_write
from awd_keras.errors import InputError

SAFETENSORS, TORCH = (".safetensors",), (".pt", ".pth")
# Where other programs keep the state dict in a file that holds more: fastai, PyTorch Lightning.
_INSIDE = ("model", "state_dict")


def read_state_dict(path):
    """Reads a file of named arrays.

    Args:
        path: a `.safetensors` file, or a `.pt` or `.pth` file of tensors, for which PyTorch must be
            installed.

    Returns:
        dictionary of NumPy arrays.

    Raises:
        InputError: if there is no such file, it is damaged, or it holds more than tensors (a
            pickled model): the message says how to convert it.
    """
    path = pathlib.Path(path)
    is_torch = _is_torch(path)
    if not path.is_file():
        raise InputError(f"Expected a file of weights. Received: {path}, which is no file.")
    return _read_torch(path) if is_torch else _read_safetensors(path)


def write_state_dict(path, arrays):
    """Writes a file of named arrays in place of the one before.

    Args:
        path: the file, whose ending says the format; its folder is made.
        arrays: dictionary of NumPy arrays. One under two names is stored once in a `.pt` or `.pth`
            file.

    Raises:
        InputError: if the ending is unknown, or PyTorch is needed and not installed.
        OSError: if there is no space or no permission; the file before remains.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "weights.safetensors")
    >>> write_state_dict(path, {"decoder.bias": np.zeros(3, "float32")})
    >>> read_state_dict(path)
    {'decoder.bias': array([0., 0., 0.], dtype=float32)}
    """
    path = pathlib.Path(path)
    torch = _import_torch(path) if _is_torch(path) else None
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(path, "wb") as file:
            if torch is None:
                arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
                file.write(safetensors.numpy.save(arrays, metadata={"format": "pt"}))
            else:
                # By identity, so that a tied matrix stays tied.
                tensors = {id(array): torch.tensor(array) for array in arrays.values()}
                torch.save({name: tensors[id(array)] for name, array in arrays.items()}, file)
    except RuntimeError as error:  # PyTorch's, where it cannot finish a file
        raise OSError(f"{path} cannot be written: {error}") from error


def to_array(name, value):
    """A weight as an array of floats that NumPy computes with.

    Args:
        name: its name, for messages.
        value: a NumPy array or a PyTorch tensor of floats; half precision becomes float32.

    Returns:
        a NumPy array.

    Raises:
        InputError: if it is something else.
    """
    if hasattr(value, "detach"):
        value = _tensor_to_array(name, value)
    array = np.asarray(value)
    if array.dtype.name in ("bfloat16", "float16"):
        return array.astype("float32")
    if array.dtype.name not in ("float32", "float64"):
        raise InputError(f"{name} must be an array of floats. Received: {array.dtype.name}")
    return array


def _is_torch(path):
    if path.suffix not in SAFETENSORS + TORCH:
        raise InputError(
            f"A file of weights must end in {', '.join(SAFETENSORS + TORCH)}. Received: {path}"
        )
    return path.suffix in TORCH


def _read_safetensors(path):
    try:
        # The library holds the header against the size of the file before it reads an array.
        with safetensors.safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except Exception as error:  # also NumPy's, for types that it does not know
        raise InputError(f"{path} cannot be read: {error}. Copy it again.") from error


def _import_torch(path):
    try:
        # By name: PyTorch is optional, so no build target depends on it.
        torch = importlib.import_module("torch")
    except ImportError:
        raise InputError(
            f'{path}: {path.suffix} files need PyTorch: pip install ".[torch]". '
            ".safetensors files do without."
        ) from None
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < (2, 6):
        raise InputError(
            f"{path}: expected PyTorch 2.6 or newer, as older ones run code that a file of tensors "
            f"brings along (CVE-2025-32434). Received: {torch.__version__}"
        )
    return torch


def _read_torch(path):
    torch = _import_torch(path)
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(_how_to_convert(path, str(error))) from None
    except Exception as error:  # a damaged file makes PyTorch raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read: {reason}. Copy it again.") from error
    for key in _INSIDE:
        if isinstance(saved, dict) and isinstance(saved.get(key), dict):
            saved = saved[key]
    if not isinstance(saved, dict):
        raise InputError(
            f"{path} must hold a state dict (names and tensors). Received: {type(saved).__name__}"
        )
    return {str(name): _tensor_to_array(name, tensor) for name, tensor in saved.items()}


def _tensor_to_array(name, tensor):
    # A view of few numbers may claim to be a matrix that fills the memory.
    if (
        getattr(tensor, "layout", None) is None
        or str(tensor.layout) != "torch.strided"
        or tensor.is_quantized
        or tensor.device.type == "meta"
        or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size()
    ):
        kind = f"{type(tensor).__name__} {getattr(tensor, 'layout', '')}".strip()
        raise InputError(f"{name} must be a dense tensor that fills memory. Received: {kind}")
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _how_to_convert(path, reason):
    if "fastcore" in reason or "fastai" in reason:
        state_dict = 'saved["model"] if isinstance(saved, dict) else saved.state_dict()'
    else:
        state_dict = "(saved[0] if isinstance(saved, (list, tuple)) else saved).state_dict()"
    found = re.search(r"GLOBAL ([\w.]+)", reason)
    return (
        f"{path} holds more than tensors ({found[1] if found else 'a pickle, or it is damaged'}); "
        "it is not unpickled, as that can run any code. If you trust it, convert it by these two "
        "lines, where the code of the model can be imported:\n"
        f"  import torch; saved = torch.load({str(path)!r}, 'cpu', weights_only=False)\n"
        f"  torch.save({state_dict}, {str(path.with_name(path.stem + '_state_dict.pt'))!r})"
    )
