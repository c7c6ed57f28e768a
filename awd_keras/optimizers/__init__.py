"""NT-ASGD and the optimizers it wraps."""

from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from awd_keras.optimizers.non_monotonic_trigger_callback import NonMonotonicTriggerCallback
from awd_keras.optimizers.nt_asgd import NTASGD, averaged_weights
from awd_keras.optimizers.scheduled_momentum import ScheduledMomentumAdam, ScheduledMomentumSGD

__all__ = [
    "NTASGD",
    "NonMonotonicTrigger",
    "NonMonotonicTriggerCallback",
    "ScheduledMomentumAdam",
    "ScheduledMomentumSGD",
    "averaged_weights",
]
