"""A model that tells words apart, and texts for it."""

import numpy as np

from awd_keras.models import AWDLSTMLanguageModel

WORDS = 11


def make_model(scale=0.5, **options):
    """A small model; its weights get noise, because a fresh one predicts every word alike."""
    arguments = {"embedding_dim": 5, "hidden_dim": 7, "num_layers": 2, "seed": 1, **options}
    model = AWDLSTMLanguageModel(WORDS, **arguments)
    for index, variable in enumerate(model.weights):
        noise = np.random.default_rng(index).normal(size=variable.shape)
        variable.assign(variable + scale * noise.astype(variable.dtype))
    return model


def make_text(num_tokens, seed=0):
    return np.random.default_rng(seed).integers(WORDS, size=num_tokens).astype(np.int32)


def weights_of(model):
    return [variable.numpy() for variable in model.weights]
