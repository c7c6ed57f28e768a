"""Weights in and out: the state dicts of the authors' model and of fastai's `AWD_LSTM`."""

from awd_keras.io.pytorch import from_pytorch, infer_sizes, to_pytorch
from awd_keras.io.pytorch_names import FORMATS, SOURCES
from awd_keras.io.state_dict import read_state_dict, write_state_dict

__all__ = [
    "FORMATS",
    "SOURCES",
    "from_pytorch",
    "infer_sizes",
    "read_state_dict",
    "to_pytorch",
    "write_state_dict",
]
