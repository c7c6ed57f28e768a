"""Hyperparameter search with KerasTuner: a hypermodel and its search spaces.

`import awd_keras` does not import this module, because importing KerasTuner is slow.
"""

import dataclasses
import inspect
import math
import types

import keras
import keras_tuner

from awd_keras.models.language_model import AWDLSTMLanguageModel
from awd_keras.optimizers.nt_asgd import NTASGD

DROPOUT_RATES = (
    "input_dropout",
    "hidden_dropout",
    "output_dropout",
    "embedding_dropout",
    "weight_dropout",
)


@dataclasses.dataclass(frozen=True)
class Space:
    """The values that a search may try for one setting.

    The space is extended to include the setting's default.

    Args:
        low: Smallest value.
        high: Largest value, inclusive.
        sampling: `"linear"` or `"log"`.
        step: Distance between integer values. `None` (the default) for floats.
        relative: Whether `low`, `high` and `step` are multiples of the default.
        choices: Tuple of values to choose from. Replaces all of the above.

    Example:

    >>> hp = keras_tuner.HyperParameters()
    >>> Space(0.5, 2.0, step=0.125, relative=True).declare(hp, "hidden_dim", 400)
    400
    >>> hp.get_config()["space"][0]["config"]["max_value"]
    800
    """

    low: float = 0.0
    high: float = 1.0
    sampling: str = "linear"
    step: float | None = None
    relative: bool = False
    choices: tuple | None = None

    def declare(self, hp, name, default):
        """Registers the setting `name` as a hyperparameter, and returns its value in `hp`."""
        if isinstance(default, bool):  # `Choice` would turn it into an integer
            return hp.Boolean(name, default=default)
        if self.choices is not None:
            return hp.Choice(name, sorted({*self.choices, default}), default=default)
        scale = default if self.relative else 1
        low, high = min(scale * self.low, default), max(scale * self.high, default)
        if self.step is not None:
            step = max(1, int(scale * self.step))
            return hp.Int(name, math.ceil(low), int(high), step=step, default=default)
        return hp.Float(name, low, high, sampling=self.sampling, default=float(default))


# The learning rate depends on the optimizer, so its range is relative, like those of layer sizes.
SPACES = types.MappingProxyType(
    {
        "learning_rate": Space(0.1, 3.0, "log", relative=True),
        "global_clipnorm": Space(0.05, 1.0, "log"),
        "weight_decay": Space(1e-7, 1e-4, "log"),
        "embedding_dim": Space(0.5, 2.0, step=0.125, relative=True),
        "hidden_dim": Space(0.5, 2.0, step=0.125, relative=True),
        "num_layers": Space(1, 4, step=1),
        "tie_weights": Space(choices=(False, True)),
        "input_dropout": Space(0.0, 0.7),
        "hidden_dropout": Space(0.0, 0.7),
        "output_dropout": Space(0.0, 0.7),
        "embedding_dropout": Space(0.0, 0.3),
        "weight_dropout": Space(0.0, 0.7),
        "dropout_multiplier": Space(0.0, 1.5),
        "ar_alpha": Space(0.0, 4.0),
        "tar_beta": Space(0.0, 4.0),
    }
)
# The paper's settings for Penn Treebank.
DEFAULTS = types.MappingProxyType(
    {
        **{
            name: parameter.default
            for function in (AWDLSTMLanguageModel.__init__, AWDLSTMLanguageModel.compile)
            for name, parameter in inspect.signature(function).parameters.items()
            if name in SPACES
        },
        "learning_rate": 30.0,
        "weight_decay": 1.2e-6,
        "dropout_multiplier": 1.0,
    }
)


class AWDLSTMHyperModel(keras_tuner.HyperModel):
    """An AWD-LSTM language model whose settings are hyperparameters.

    `build` returns an `AWDLSTMLanguageModel` compiled with NT-ASGD around SGD. Fit it on the
    windows of a corpus, with the objective of minimizing `val_perplexity`. A trial that diverges
    fails, and by default KerasTuner ends a search after three consecutive failures; to allow more,
    raise `max_consecutive_failed_trials`.

    Args:
        vocabulary_size: Number of words.
        tune: Names of the settings to tune, from `SPACES`. Defaults to the five that matter most
            for a model of a given size.
        **settings: Values that replace the paper's in `DEFAULTS`. For settings to tune, they are
            the defaults.

    Raises:
        ValueError: If a name is not in `SPACES`, or `tune` has both `dropout_multiplier` and a
            dropout rate.

    Example:

    ```python
    tuner = keras_tuner.BayesianOptimization(
        awd_keras.tuning.AWDLSTMHyperModel(len(corpus.vocabulary)),
        objective=keras_tuner.Objective("val_perplexity", "min"),
        max_trials=20,
    )
    windows = corpus.windows("train", batch_size=20, bptt=70)
    tuner.search(windows, validation_data=corpus.windows("validation", batch_size=10), epochs=5)
    ```
    """

    def __init__(
        self,
        vocabulary_size,
        tune=("dropout_multiplier", "learning_rate", "weight_decay", "ar_alpha", "tar_beta"),
        **settings,
    ):
        super().__init__(name="awd_lstm")
        for name in (*tune, *settings):
            if name not in SPACES:
                raise ValueError(f"Expected one of {', '.join(SPACES)}. Received: {name!r}")
        if "dropout_multiplier" in tune and set(tune).intersection(DROPOUT_RATES):
            raise ValueError(
                "`tune` must not contain both `dropout_multiplier` and a dropout rate, because "
                f"their product may exceed 1. Received: {tuple(tune)}"
            )
        self.vocabulary_size = vocabulary_size
        self.tune = tuple(tune)
        self.settings = {**DEFAULTS, **settings}

    def build(self, hp):
        """Builds and compiles a model with the hyperparameters `hp`."""
        settings = dict(self.settings)
        for name in self.tune:
            settings[name] = SPACES[name].declare(hp, name, settings[name])
        multiplier = settings.pop("dropout_multiplier")
        for name in DROPOUT_RATES:
            settings[name] *= multiplier
        learning_rate, weight_decay = settings.pop("learning_rate"), settings.pop("weight_decay")
        penalties = {name: settings.pop(name) for name in ("ar_alpha", "tar_beta")}
        global_clipnorm = settings.pop("global_clipnorm")
        model = AWDLSTMLanguageModel(self.vocabulary_size, **settings)
        optimizer = NTASGD(keras.optimizers.SGD(learning_rate, weight_decay=weight_decay))
        model.compile(optimizer, global_clipnorm=global_clipnorm, **penalties)
        return model
