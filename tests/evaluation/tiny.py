"""A small model, texts for it, and the definition of the cache, for the tests of evaluation."""

import math

import numpy as np

from awd_keras.models import AWDLSTMLanguageModel

WORDS = 11


def make_model(vocabulary_size=WORDS, scale=0.5, **options):
    """Makes a small model with noise in its weights: a new one predicts all words alike."""
    arguments = {"embedding_dim": 5, "hidden_dim": 7, "num_layers": 1, "seed": 1, **options}
    model = AWDLSTMLanguageModel(vocabulary_size, **arguments)
    for index, variable in enumerate(model.weights):
        noise = np.random.default_rng(index).normal(size=variable.shape)
        variable.assign(variable + scale * noise.astype(variable.dtype))
    return model


def make_text(num_tokens, seed=0):
    return np.random.default_rng(seed).integers(WORDS, size=num_tokens).astype(np.int32)


def weights_of(model):
    return [variable.numpy().tobytes() for variable in model.weights]


def brute_force(cache, log_probabilities, hidden, targets):
    """Probabilities of the targets by the definition of the cache, one word at a time."""
    mixed = np.exp(log_probabilities.astype("float64"))
    hidden = hidden.astype("float64")
    for row, now in np.ndindex(targets.shape):
        entries = range(max(0, now - cache.window), now)
        if not entries:
            continue
        weights = [math.exp(cache.theta * hidden[row, now] @ hidden[row, i]) for i in entries]
        same = [w for w, i in zip(weights, entries) if targets[row, i] == targets[row, now]]
        mixed[row, now] *= 1 - cache.lambda_
        mixed[row, now] += cache.lambda_ * sum(same) / sum(weights)
    return mixed
