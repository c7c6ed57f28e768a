"""Pure functions on tensors: the LSTM, the softmax loss, random masks and sampling."""

from awd_keras.ops.adaptive_softmax import adaptive_cross_entropy, adaptive_log_probabilities
from awd_keras.ops.cross_entropy import sequence_cross_entropy
from awd_keras.ops.gru import gru
from awd_keras.ops.lstm import lstm, portable_kernels, transposed_ids
from awd_keras.ops.qrnn import qrnn
from awd_keras.ops.random import dropout_mask, fold_in, run_seed
from awd_keras.ops.sampling import categorical, filter_logits, sample, sample_seeds

__all__ = [
    "adaptive_cross_entropy",
    "adaptive_log_probabilities",
    "categorical",
    "dropout_mask",
    "filter_logits",
    "fold_in",
    "gru",
    "lstm",
    "portable_kernels",
    "qrnn",
    "run_seed",
    "sample",
    "sample_seeds",
    "sequence_cross_entropy",
    "transposed_ids",
]
