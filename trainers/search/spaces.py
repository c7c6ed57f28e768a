"""What can be tuned, and between which values. Spaces are data."""

import dataclasses
import types

from trainers.config import DROPOUT_RATES
from trainers.errors import UserError


@dataclasses.dataclass(frozen=True)
class Space:
    """The values of one setting.

    Args:
        low, high: the ends, both included.
        log: whether equal ratios, not equal differences, are equally likely.
        step: None for any number between, or the distance of integers.
        values: None, or the values to choose from; then the others say nothing.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: int | None = None
    values: tuple | None = None

    def declare(self, hyperparameters, name, default):
        """Registers the setting with KerasTuner.

        Args:
            hyperparameters: `keras_tuner.HyperParameters`.
            name: name of the setting.
            default: its value without tuning; it belongs to the space, wherever it lies.

        Returns:
            its value in these hyperparameters.

        Raises:
            UserError: if the space has a logarithmic scale and the default is 0.
        """
        self.check(name, default)
        if isinstance(default, bool):  # which would come back from a Choice as 0 and 1
            return hyperparameters.Boolean(name, default=default)
        if self.values is not None:
            values = sorted({*self.values, default})
            return hyperparameters.Choice(name, values, default=default)
        low, high = min(self.low, default), max(self.high, default)
        if self.step is not None:
            return hyperparameters.Int(name, low, high, step=self.step, default=default)
        sampling = "log" if self.log else "linear"
        return hyperparameters.Float(name, low, high, sampling=sampling, default=float(default))

    def check(self, name, default):
        """Finds out whether a search can start from a value.

        Raises:
            UserError: if the space has a logarithmic scale and the value is 0.
        """
        if self.log and default <= 0:
            raise UserError(
                f"{name} is tuned on a logarithmic scale and cannot start from {default}; give "
                f"--{name} a value above 0, or leave it out of --tune."
            )


def _learning_rate(config):
    low, high = {"sgd": (1.0, 100.0), "adam": (1e-4, 2e-2)}[config.optimizer]
    return Space(low, high, log=True)


def _dropout_multiplier(config):
    largest = max(getattr(config, name) for name in DROPOUT_RATES)
    return Space(0.0, min(1.5, 0.95 / largest if largest else 1.5))


def _dropout(largest):
    """Rates that stay below 1 when they are multiplied."""

    def space(config):
        multiplier = config.dropout_multiplier
        return Space(0.0, min(largest, 0.95 / multiplier if multiplier else largest))

    return space


def _around(name):
    """Half to twice the size, in twelve steps or so."""

    def space(config):
        size = getattr(config, name)
        return Space(max(1, size // 2), 2 * size, step=max(1, size // 8))

    return space


# Functions of the `TrainingConfig` that the search starts from.
SPACES = types.MappingProxyType(
    {
        "learning_rate": _learning_rate,
        "global_clipnorm": lambda config: Space(0.05, 1.0, log=True),
        "weight_decay": lambda config: Space(1e-7, 1e-4, log=True),
        "batch_size": lambda config: Space(values=(10, 20, 40, 80)),
        "bptt": lambda config: Space(20, 120, step=5),
        "bptt_std": lambda config: Space(0.0, 10.0),
        "bptt_full_probability": lambda config: Space(0.7, 1.0),
        "non_monotone_interval": lambda config: Space(0, 10, step=1),
        # Every validation takes its time: fewer than a hundred steps apart none is tried.
        "logging_interval": lambda config: Space(values=(0, 100, 200, 500, 1000)),
        "embedding_dim": _around("embedding_dim"),
        "hidden_dim": _around("hidden_dim"),
        "num_layers": lambda config: Space(1, 4, step=1),
        "tie_weights": lambda config: Space(values=(False, True)),
        "input_dropout": _dropout(0.7),
        "hidden_dropout": _dropout(0.7),
        "output_dropout": _dropout(0.7),
        "embedding_dropout": _dropout(0.3),
        "weight_dropout": _dropout(0.7),
        "dropout_multiplier": _dropout_multiplier,
        "ar_alpha": lambda config: Space(0.0, 4.0),
        "tar_beta": lambda config: Space(0.0, 4.0),
    }
)

# Names that stand for several settings.
GROUPS = types.MappingProxyType(
    {
        "dropouts": DROPOUT_RATES,
        "regularization": (*DROPOUT_RATES, "ar_alpha", "tar_beta", "weight_decay"),
        "optimization": (
            "learning_rate",
            "global_clipnorm",
            "batch_size",
            "bptt",
            "bptt_std",
            "bptt_full_probability",
            "non_monotone_interval",
            "logging_interval",
        ),
        "sizes": ("embedding_dim", "hidden_dim", "num_layers", "tie_weights"),
        "all": tuple(name for name in SPACES if name != "dropout_multiplier"),
    }
)


def expand(names):
    """The settings that names of settings and of groups stand for.

    Args:
        names: an iterable of names.

    Returns:
        a tuple of settings, each once, in the order of `SPACES`.

    Raises:
        UserError: for an unknown name, for none, or for settings that say the same.

    Example:

    >>> expand(["tar_beta", "dropouts"])[:2]
    ('input_dropout', 'hidden_dropout')
    """
    chosen = set()
    for name in names:
        if name not in SPACES and name not in GROUPS:
            raise UserError(
                f"tune must name some of {', '.join(SPACES)}, or of the groups "
                f"{', '.join(GROUPS)}. Received: {name!r}"
            )
        chosen.update(GROUPS.get(name, (name,)))
    if not chosen:
        raise UserError("tune must name at least one setting.")
    if "dropout_multiplier" in chosen and chosen.intersection(DROPOUT_RATES):
        both = ", ".join(name for name in DROPOUT_RATES if name in chosen)
        raise UserError(f"dropout_multiplier multiplies {both}: tune it, or them. Received: both")
    return tuple(name for name in SPACES if name in chosen)
