"""AWD-LSTM (Merity, Keskar and Socher 2017, arXiv 1708.02182) for Keras 3 and TensorFlow.

Sub-packages are loaded when first used, so that `import awd_keras` costs nothing and a command's
`--help` never waits for TensorFlow.
"""

import importlib

from awd_keras.version import __version__

_SUBPACKAGES = (
    "ablation",
    "bundled",
    "config",
    "data",
    "evaluation",
    "factory",
    "generation",
    "io",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "presets",
    "reporting",
    "training",
    "tuning",
    "verification",
)

__all__ = ["__version__", *_SUBPACKAGES]


def __getattr__(name):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"awd_keras.{name}")
    raise AttributeError(f"module 'awd_keras' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
