"""A small LSTM that drops weights, and inputs for it."""

import numpy as np

from awd_keras import layers

BATCH, TIME, FEATURES, UNITS = 3, 6, 4, 5
RATE = 0.5


def make_inputs(dtype="float32", time=TIME, seed=0):
    return np.random.default_rng(seed).normal(size=(BATCH, time, FEATURES)).astype(dtype)


def dropped_layer(weight_dropout=RATE, units=UNITS, **options):
    """A built layer that returns its whole sequence and drops weights."""
    layer = layers.WeightDropLSTM(
        units, weight_dropout=weight_dropout, return_sequences=True, **options
    )
    layer.build((None, None, FEATURES))
    generator = np.random.default_rng(2)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    return layer
