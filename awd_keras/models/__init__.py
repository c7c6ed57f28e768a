"""The models: AWD-LSTM as a backbone, and the language model built on it."""

from awd_keras.models.awd_lstm import AWDLSTM
from awd_keras.models.language_model import AWDLSTMLanguageModel

__all__ = ["AWDLSTM", "AWDLSTMLanguageModel"]
