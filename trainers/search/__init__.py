"""Search for settings, with KerasTuner: spaces, a hypermodel, tuners that survive.

`SPACES`, `GROUPS` and `expand` are loaded at once; the other names when first used, because they
need Keras.
"""

import importlib

from trainers.search.spaces import GROUPS, SPACES, expand

_LAZY = {
    "AWDLSTMHyperModel": "hypermodel",
    "BayesianOptimization": "tuners",
    "ChiefError": "tuners",
    "Hyperband": "tuners",
    "RandomSearch": "tuners",
    "RunFolderTuner": "tuners",
    "TrialError": "tuners",
    "TrialResult": "results",
    "draw_search": "pictures",
    "flags_of": "results",
    "importance": "results",
    "objective": "hypermodel",
    "trial_results": "results",
    "trials_csv": "results",
    "trials_table": "results",
    "write_hparams": "pictures",
}

__all__ = ["GROUPS", "SPACES", "expand", *_LAZY]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
