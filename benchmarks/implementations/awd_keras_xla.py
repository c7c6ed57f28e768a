"""This library with `--kernel=xla`; windows are padded as in training."""

from benchmarks.implementations import awd_keras


class Implementation(awd_keras.Implementation):
    """Compiles the training step with XLA; evaluation and generation stay as they are."""

    kernel = "xla"
