"""The search spaces of the settings that `trainers.tune` can tune."""

from awd_keras import tuning
from awd_keras.tuning import Space
from trainers.errors import UserError

SPACES = {
    **tuning.SPACES,
    "batch_size": Space(choices=(10, 20, 40, 80)),
    "bptt": Space(20, 120, step=5),
    "bptt_std": Space(0.0, 10.0),
    "bptt_full_probability": Space(0.7, 1.0),
    "non_monotone_interval": Space(0, 10, step=1),
    # Validation takes as long as many steps, so it must not be too frequent.
    "logging_interval": Space(choices=(0, 100, 200, 500, 1000)),
}
_OPTIMIZATION = ("learning_rate", "global_clipnorm", "batch_size", "bptt", "bptt_std")
_OPTIMIZATION += ("bptt_full_probability", "non_monotone_interval", "logging_interval")
GROUPS = {
    "dropouts": tuning.DROPOUT_RATES,
    "regularization": (*tuning.DROPOUT_RATES, "ar_alpha", "tar_beta", "weight_decay"),
    "optimization": _OPTIMIZATION,
    "sizes": ("embedding_dim", "hidden_dim", "num_layers", "tie_weights"),
    "all": tuple(name for name in SPACES if name != "dropout_multiplier"),
}


def expand(names):
    """Expands groups of settings into a tuple of names, in the order of `SPACES`."""
    chosen = set()
    for name in names:
        if name not in SPACES and name not in GROUPS:
            raise UserError(
                f"--tune takes the settings {','.join(SPACES)} and the groups {','.join(GROUPS)}. "
                f"Received: {name!r}"
            )
        chosen.update(GROUPS.get(name, (name,)))
    if not chosen:
        raise UserError("--tune must name at least one setting.")
    if "dropout_multiplier" in chosen and chosen.intersection(tuning.DROPOUT_RATES):
        raise UserError("--tune must not name both dropout_multiplier and dropout rates.")
    return tuple(name for name in SPACES if name in chosen)
