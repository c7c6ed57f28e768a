"""The tiny model that the servers of the tests serve, and its numbers by Keras.

  python -m tests.serving.tiny_model FOLDER

writes FOLDER/tiny/1/, always the same, for a TensorFlow Serving elsewhere to be tested against.
"""

import sys

import numpy as np

from tests.serving.exported import exported, log_probabilities_of

STATE_SIZE = exported().zero_state(1).shape[1]
WORDS = exported().vocabulary.words
_EOS = exported().vocabulary.eos_id


def token_ids_of(text):
    return exported().vocabulary.encode(text.split()).tolist()


def after(token_ids):
    """Log-probabilities of every word after an <eos> and these, (vocabulary_size,)."""
    return log_probabilities_of(exported().model, [_EOS, *token_ids])[-1]


def log_probabilities(token_ids):
    """Of each token after those before it and an <eos>."""
    found = log_probabilities_of(exported().model, [_EOS, *token_ids])
    return np.array([row[token_id] for row, token_id in zip(found, token_ids)])


def score(text):
    """(log-probability, number of tokens, number unknown)."""
    token_ids = [*token_ids_of(text), _EOS]
    num_unknown = sum(word not in WORDS for word in text.split())
    return log_probabilities(token_ids).sum(), len(token_ids), num_unknown


def next_words(text, k):
    """The k likeliest words with their log-probabilities."""
    found = after(token_ids_of(text))
    order = np.argsort(-found, kind="stable")[:k]
    return [(WORDS[index], found[index]) for index in order]


if __name__ == "__main__":
    from serving.saved_model import export_saved_model

    print(export_saved_model(exported().model, exported().vocabulary, sys.argv[1], "tiny").path)
