"""Pure functions on tensors: the mathematics of the model and its speed."""

from awd_keras.ops.cross_entropy import sequence_cross_entropy
from awd_keras.ops.lstm import lstm
from awd_keras.ops.random import dropout_mask, fold_in, run_seed

__all__ = ["dropout_mask", "fold_in", "lstm", "run_seed", "sequence_cross_entropy"]
