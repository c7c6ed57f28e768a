"""AWD-LSTM (Merity, Keskar and Socher 2017, arXiv 1708.02182) for Keras 3 and TensorFlow.

Importing the package imports its sub-packages, which registers every class with Keras.
`awd_keras.tuning` needs KerasTuner and is imported on demand.
"""

import keras

if keras.config.backend() != "tensorflow":
    raise ImportError(
        "awd_keras needs Keras's TensorFlow backend. Received: KERAS_BACKEND="
        f"{keras.config.backend()}. Set KERAS_BACKEND=tensorflow."
    )

from awd_keras import (
    data,
    evaluation,
    generation,
    io,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
)
from awd_keras.version import __version__

__all__ = [
    "__version__",
    "data",
    "evaluation",
    "generation",
    "io",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
]
