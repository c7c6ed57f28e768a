"""Imports and exports the PyTorch weights of the authors' model and fastai's `AWD_LSTM`."""

from awd_keras.io.pytorch import FORMATS, from_pytorch, infer_sizes, to_pytorch
from awd_keras.io.state_dict import read_state_dict, write_state_dict

__all__ = [
    "FORMATS",
    "from_pytorch",
    "infer_sizes",
    "read_state_dict",
    "to_pytorch",
    "write_state_dict",
]
