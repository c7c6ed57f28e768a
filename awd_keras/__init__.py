"""AWD-LSTM (Merity, Keskar and Socher 2017, arXiv 1708.02182) for Keras 3 and TensorFlow.

Importing the package imports its sub-packages, which registers every class with Keras.
`awd_keras.tuning` needs KerasTuner and is imported on demand.
"""

import os

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise ImportError(
        "awd_keras requires Keras's TensorFlow backend: set KERAS_BACKEND=tensorflow. "
        f"Received: KERAS_BACKEND={os.environ['KERAS_BACKEND']}"
    )

from awd_keras import (
    bundled_model,
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
    "bundled_model",
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
