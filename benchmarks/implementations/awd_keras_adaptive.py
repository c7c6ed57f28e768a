"""This library with an adaptive softmax, for `--vocabulary_size=267735`."""

from benchmarks.implementations import awd_keras
from trainers.presets import PRESETS


class Implementation(awd_keras.Implementation):
    """The same text, layers and training step, with the cutoffs of `wikitext103_qrnn`."""

    changes = {
        "adaptive_softmax_cutoffs": PRESETS["wikitext103_qrnn"].config.adaptive_softmax_cutoffs
    }
