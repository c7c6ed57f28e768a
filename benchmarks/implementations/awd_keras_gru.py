"""This library with GRUs in place of the LSTMs."""

from benchmarks.implementations import awd_keras


class Implementation(awd_keras.Implementation):
    """The same text, sizes and training step."""

    changes = {"rnn": "gru"}
