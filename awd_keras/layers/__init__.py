"""The parts of AWD-LSTM as Keras layers, which can be used in any Keras model."""

from awd_keras.layers.activation_regularization import ActivationRegularization
from awd_keras.layers.adaptive_tied_decoder import AdaptiveTiedDecoder
from awd_keras.layers.embedding_dropout import EmbeddingDropout
from awd_keras.layers.locked_dropout import LockedDropout
from awd_keras.layers.tied_decoder import TiedDecoder
from awd_keras.layers.weight_drop_gru import WeightDropGRU
from awd_keras.layers.weight_drop_lstm import WeightDropLSTM
from awd_keras.layers.weight_drop_qrnn import WeightDropQRNN

__all__ = [
    "ActivationRegularization",
    "AdaptiveTiedDecoder",
    "EmbeddingDropout",
    "LockedDropout",
    "TiedDecoder",
    "WeightDropGRU",
    "WeightDropLSTM",
    "WeightDropQRNN",
]
