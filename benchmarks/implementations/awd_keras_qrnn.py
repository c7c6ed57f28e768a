"""This library's QRNN, with the layers, units and weight dropout of the preset `ptb_qrnn`."""

from benchmarks.implementations import awd_keras
from trainers.presets import PRESETS


class Implementation(awd_keras.Implementation):
    """The same text, embedding and training step with other layers."""

    changes = {
        name: getattr(PRESETS["ptb_qrnn"].config, name)
        for name in ("rnn", "num_layers", "hidden_dim", "weight_dropout")
    }
