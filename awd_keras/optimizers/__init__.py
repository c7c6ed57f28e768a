"""NT-ASGD: non-monotonically triggered averaged SGD; and the optimizers that it wraps.

`NonMonotonicTrigger` is plain Python; the other names are loaded when first used, because they
need Keras.
"""

import importlib

from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger

_LAZY = {
    "NTASGD": "nt_asgd",
    "NonMonotonicTriggerCallback": "non_monotonic_trigger_callback",
    "InPlaceSGD": "in_place_sgd",
    "ScheduledMomentumAdam": "scheduled_momentum",
    "ScheduledMomentumSGD": "scheduled_momentum",
}

__all__ = [
    "NTASGD",
    "NonMonotonicTrigger",
    "NonMonotonicTriggerCallback",
    "InPlaceSGD",
    "ScheduledMomentumAdam",
    "ScheduledMomentumSGD",
]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
