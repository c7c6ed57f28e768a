"""All settings of a run: one frozen dataclass, validated; flags are made from its fields.

Each field's metadata says what the setting means, what the authors' code calls it, and to which
part of a run it belongs. The name of a field is the name of the flag and of the argument.
"""

import dataclasses
import math
import re

from trainers.errors import UserError

CORPORA = ("ptb", "wikitext2", "sotu", "text")
OPTIMIZERS = ("sgd", "adam")
DTYPES = ("auto", "float32", "bfloat16")
TRIGGER_PATTERN = re.compile(r"non_monotonic|monotonic|start|never|epoch:[1-9]\d*")
STOPS = ("never", "non_monotonic")
SCHEDULES = ("constant", "one_cycle", "cosine")
TRIGGER_ACTIONS = ("average", "reduce_learning_rate")


def _setting(default, section, help_text, reference=None, choices=None, may_change=False):
    metadata = {"section": section, "help": help_text, "reference": reference}
    metadata.update(choices=choices, may_change=may_change)
    return dataclasses.field(default=default, metadata=metadata)


def _are_epochs(values):
    return isinstance(values, tuple) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= 1 for value in values
    )


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training run; the defaults are the paper's for Penn Treebank.

    Raises:
        UserError: naming the setting, what was expected and what was received.

    Example:

    >>> TrainingConfig(hidden_dim=400).hidden_dim
    400
    >>> TrainingConfig(input_dropout=1.5)
    Traceback (most recent call last):
    ...
    trainers.config.UserError: input_dropout must be in [0, 1). Received: input_dropout=1.5
    """

    corpus: str = _setting(
        "ptb",
        "Data",
        "corpus to train on; sotu comes with a Python package, text is your own "
        "files in --data_dir",
        choices=CORPORA,
    )
    data_dir: str | None = _setting(
        None,
        "Data",
        "folder of {train,valid,test}.txt or ptb.{train,valid,test}.txt; without it "
        "TensorFlow Datasets prepares ptb and wikitext2",
        "data",
        may_change=True,
    )
    max_vocabulary_size: int | None = _setting(
        None, "Data", "keep the most frequent words, the others become <unk>; default: all"
    )
    max_train_tokens: int | None = _setting(
        None,
        "Data",
        "train on the first so many tokens, with the vocabulary of the whole text; default: all",
    )

    embedding_dim: int = _setting(400, "Model", "columns of the embedding", "emsize")
    hidden_dim: int = _setting(1150, "Model", "units of all LSTMs but the last", "nhid")
    num_layers: int = _setting(3, "Model", "number of LSTMs", "nlayers")
    tie_weights: bool = _setting(True, "Model", "softmax matrix = embedding", "tied")
    dtype: str = _setting(
        "auto",
        "Model",
        "precision of the products; auto takes bfloat16 where the hardware has it",
        choices=DTYPES,
    )

    input_dropout: float = _setting(
        0.4, "Regularization", "locked dropout of the embedded words", "dropouti"
    )
    hidden_dropout: float = _setting(
        0.3, "Regularization", "locked dropout between LSTMs", "dropouth"
    )
    output_dropout: float = _setting(
        0.4, "Regularization", "locked dropout of the last LSTM's outputs", "dropout"
    )
    embedding_dropout: float = _setting(0.1, "Regularization", "dropout of whole words", "dropoute")
    weight_dropout: float = _setting(
        0.5, "Regularization", "dropout of entries of the recurrent matrices", "wdrop"
    )
    dropout_multiplier: float = _setting(1.0, "Regularization", "factor on all five dropout rates")
    ar_alpha: float = _setting(
        2.0, "Regularization", "weight of activation regularization", "alpha"
    )
    tar_beta: float = _setting(
        1.0, "Regularization", "weight of temporal activation regularization", "beta"
    )
    weight_decay: float = _setting(1.2e-6, "Regularization", "L2 decay of all weights", "wdecay")

    optimizer: str = _setting(
        "sgd",
        "Optimization",
        "optimizer inside NT-ASGD; the paper's is sgd",
        "optimizer",
        choices=OPTIMIZERS,
    )
    learning_rate: float = _setting(
        30.0, "Optimization", "learning rate of a window of length bptt", "lr"
    )
    learning_rate_drop_epochs: tuple[int, ...] = _setting(
        (), "Optimization", "epochs after which the learning rate is divided by 10", "when"
    )
    learning_rate_schedule: str = _setting(
        "constant",
        "Optimization",
        "constant (the paper's); one_cycle: up to learning_rate, then "
        "down, each along half a cosine; cosine: down alone",
        choices=SCHEDULES,
    )
    schedule_epochs: int | None = _setting(
        None,
        "Optimization",
        "epochs until the schedule is at its end; default: all epochs, whose "
        "number then cannot be changed later",
    )
    warmup_fraction: float = _setting(
        0.3, "Optimization", "part of one_cycle in which the learning rate rises"
    )
    div_factor: float = _setting(
        25.0, "Optimization", "one_cycle starts at learning_rate divided by this"
    )
    final_div_factor: float = _setting(
        1e5, "Optimization", "one_cycle and cosine end at learning_rate divided by this"
    )
    momentum: float | None = _setting(
        None, "Optimization", "momentum of sgd, beta_1 of adam; default: 0 and 0.9"
    )
    momentum_min: float | None = _setting(
        None,
        "Optimization",
        "momentum at the peak of one_cycle: it falls while the learning rate "
        "rises, and rises while that falls; default: it stays",
    )
    global_clipnorm: float = _setting(
        0.25, "Optimization", "largest global norm of the gradient", "clip"
    )
    trigger: str = _setting(
        "non_monotonic",
        "Optimization",
        "when averaging starts: non_monotonic, monotonic (the "
        "loss first fails to fall), epoch:K (after epoch K), start (before the first step) or "
        "never",
    )
    trigger_action: str = _setting(
        "average",
        "Optimization",
        "what the non_monotonic and the monotonic trigger do: average, "
        "or reduce_learning_rate, again and again, each time with a new record",
        choices=TRIGGER_ACTIONS,
    )
    learning_rate_reduction: float = _setting(
        2.0, "Optimization", "divisor of the learning rate at each reduction by the trigger"
    )
    stop: str = _setting(
        "never",
        "Optimization",
        "when to stop before the last epoch: never, or by the "
        "non_monotonic test on the losses of the average, as fine-tuning does",
        choices=STOPS,
    )
    non_monotone_interval: int = _setting(
        5, "Optimization", "losses that the non-monotonic test looks back over", "nonmono"
    )
    logging_interval: int = _setting(
        0, "Optimization", "steps between validations; 0: once an epoch (the paper's L)"
    )

    initial_run: str | None = _setting(
        None, "Run", "folder of a run from whose best weights to start; default: random weights"
    )
    epochs: int = _setting(750, "Run", "epochs of the whole run", "epochs", may_change=True)
    batch_size: int = _setting(40, "Run", "columns into which the text is cut", "batch_size")
    validation_batch_size: int = _setting(
        10, "Run", "the same for validation: the paper's protocol has 10"
    )
    test_batch_size: int = _setting(1, "Run", "the same for the test: the paper's has 1")
    bptt: int = _setting(70, "Run", "base length of a window", "bptt")
    bptt_std: float = _setting(5.0, "Run", "standard deviation of the length of a window")
    bptt_min: int = _setting(5, "Run", "shortest window")
    bptt_max: int | None = _setting(None, "Run", "longest window; default: no limit")
    bptt_full_probability: float = _setting(
        0.95, "Run", "how often the base length is bptt; else half of it"
    )
    seed: int = _setting(141, "Run", "of weights, masks and window lengths", "seed")

    checkpoint_minutes: float = _setting(
        5.0, "Logging", "minutes between checkpoints besides those at validations", may_change=True
    )
    tensorboard: bool = _setting(True, "Logging", "write scalars to events/", may_change=True)
    plot: bool = _setting(True, "Logging", "draw curves.png", may_change=True)

    def __post_init__(self):
        for name in (
            "embedding_dim",
            "hidden_dim",
            "num_layers",
            "epochs",
            "batch_size",
            "bptt",
            "validation_batch_size",
            "test_batch_size",
            "bptt_min",
        ):
            self._check(name, lambda v: isinstance(v, int) and v >= 1, "a positive integer")
        for name in ("max_vocabulary_size", "max_train_tokens", "bptt_max", "schedule_epochs"):
            self._check(
                name,
                lambda v: v is None or isinstance(v, int) and v >= 1,
                "a positive integer, or left out",
            )
        for name in ("non_monotone_interval", "logging_interval"):
            self._check(name, lambda v: isinstance(v, int) and v >= 0, "an integer of at least 0")
        self._check(
            "seed", lambda v: isinstance(v, int) and 0 <= v < 2**32, "an integer in [0, 2**32)"
        )
        for name in DROPOUT_RATES:
            self._check(name, lambda v: 0 <= v < 1, "in [0, 1)")
        for name in (
            "ar_alpha",
            "tar_beta",
            "weight_decay",
            "bptt_std",
            "dropout_multiplier",
            "checkpoint_minutes",
        ):
            self._check(name, lambda v: 0 <= v < math.inf, "a finite number of at least 0")
        for name in ("learning_rate", "global_clipnorm"):
            self._check(name, lambda v: 0 < v < math.inf, "a finite number above 0")
        for name in ("momentum", "momentum_min"):
            self._check(name, lambda v: v is None or 0 <= v < 1, "in [0, 1), or left out")
        for name in ("div_factor", "final_div_factor", "learning_rate_reduction"):
            self._check(name, lambda v: 1 <= v < math.inf, "a finite number of at least 1")
        self._check("warmup_fraction", lambda v: 0 < v < 1, "in (0, 1)")
        self._check("bptt_full_probability", lambda v: 0 <= v <= 1, "in [0, 1]")
        for name in ("tie_weights", "tensorboard", "plot"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(
                    f"{name} must be True or False. Received: {name}={getattr(self, name)!r}"
                )
        for name in ("data_dir", "initial_run"):
            self._check(
                name, lambda v: v is None or isinstance(v, str), "a path as a string, or left out"
            )
        self._check("learning_rate_drop_epochs", _are_epochs, "a tuple of positive integers")
        self._check(
            "trigger",
            TRIGGER_PATTERN.fullmatch,
            "non_monotonic, monotonic, epoch:K, start or never",
        )
        for field in dataclasses.fields(self):
            choices = field.metadata["choices"]
            if choices:
                self._check(field.name, lambda v: v in choices, f"one of {', '.join(choices)}")  # noqa: B023
        for name, rate in self.dropout_rates().items():
            if not 0 <= rate < 1:
                raise UserError(
                    f"{name} * dropout_multiplier must be in [0, 1). Received: "
                    f"{getattr(self, name)} * {self.dropout_multiplier} = {rate}"
                )
        if self.stop != "never" and self.trigger == "never":
            raise UserError(
                "stop=non_monotonic looks at the losses of the average, and with trigger=never "
                "there is none; choose another trigger."
            )
        if self.optimizer == "adam" and self.learning_rate > 1:
            raise UserError(
                "adam diverges at learning rates made for sgd; try learning_rate=0.001. "
                f"Received: learning_rate={self.learning_rate}"
            )
        self._check_schedule()
        if self.bptt_max is not None and self.bptt_max < self.bptt_min:
            raise UserError(
                f"bptt_max must be at least bptt_min={self.bptt_min}. "
                f"Received: bptt_max={self.bptt_max}"
            )

    def _check_schedule(self):
        if self.learning_rate_schedule != "constant" and self.learning_rate_drop_epochs:
            raise UserError(
                f"learning_rate_schedule={self.learning_rate_schedule} lowers the learning rate by "
                "itself; leave learning_rate_drop_epochs out. Received: "
                f"learning_rate_drop_epochs={self.learning_rate_drop_epochs}"
            )
        if self.momentum_min is not None:
            if self.learning_rate_schedule != "one_cycle" or not self.momentum:
                raise UserError(
                    "momentum_min is where learning_rate_schedule=one_cycle takes momentum to; "
                    "give both, and a momentum above 0. Received: learning_rate_schedule="
                    f"{self.learning_rate_schedule}, momentum={self.momentum}"
                )
            if self.momentum_min > self.momentum:
                raise UserError(
                    f"momentum_min must be at most momentum={self.momentum}. "
                    f"Received: momentum_min={self.momentum_min}"
                )
        if self.trigger_action == "reduce_learning_rate":
            if self.trigger not in ("non_monotonic", "monotonic"):
                raise UserError(
                    "trigger_action=reduce_learning_rate needs trigger=non_monotonic or monotonic. "
                    f"Received: trigger={self.trigger}"
                )
            if self.stop != "never":
                raise UserError(
                    f"stop={self.stop} looks at the losses of the average, and with "
                    "trigger_action=reduce_learning_rate there is none."
                )

    def _check(self, name, holds, expected):
        value = getattr(self, name)
        try:
            valid = not isinstance(value, bool) and bool(holds(value))
        except TypeError:
            valid = False
        if not valid:
            raise UserError(f"{name} must be {expected}. Received: {name}={value!r}")

    def dropout_rates(self):
        """The five rates times `dropout_multiplier`, by name."""
        return {name: getattr(self, name) * self.dropout_multiplier for name in DROPOUT_RATES}

    def replace(self, **changes):
        """A copy with other settings."""
        return dataclasses.replace(self, **changes)

    def fine_tuning(self, initial_run, **changes):
        """The settings of fine-tuning from a run with these settings, as the paper does it.

        SGD, averaged from the first step, at a constant learning rate, until the non-monotonic
        test holds for the losses of the average. A run of another optimizer is fine-tuned at the
        paper's learning rate.

        Args:
            initial_run: folder of the run from whose best weights to start.
            **changes: other settings.

        Returns:
            a `TrainingConfig`.

        Example:

        >>> TrainingConfig().fine_tuning("runs/ptb", learning_rate=10.0).trigger
        'start'
        """
        constant = {
            "learning_rate_drop_epochs": (),
            "learning_rate_schedule": "constant",
            "schedule_epochs": None,
            "momentum_min": None,
        }
        if self.optimizer != "sgd":
            paper = type(self)()
            constant.update(
                optimizer=paper.optimizer, learning_rate=paper.learning_rate, momentum=None
            )
        averaged = {"trigger": "start", "trigger_action": "average", "stop": "non_monotonic"}
        return self.replace(**{"initial_run": initial_run, **constant, **averaged, **changes})

    @property
    def schedule_length(self):
        """Epochs until the schedule is at its end; None where it has none."""
        if self.learning_rate_schedule == "constant":
            return None
        return self.schedule_epochs or self.epochs

    def to_dict(self):
        """The settings as a dictionary that JSON can hold."""
        return {
            **dataclasses.asdict(self),
            "learning_rate_drop_epochs": list(self.learning_rate_drop_epochs),
        }

    @classmethod
    def from_dict(cls, settings):
        """The inverse of `to_dict`.

        Raises:
            UserError: for a setting that does not exist.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise UserError(f"There is no setting {', '.join(unknown)}.")
        settings = dict(settings)
        if "learning_rate_drop_epochs" in settings:
            settings["learning_rate_drop_epochs"] = tuple(settings["learning_rate_drop_epochs"])
        return cls(**settings)

    def differences(self, other):
        """Settings that a resumed run may not change, as `name: ours -> theirs`."""
        differences = [
            f"{field.name}: {getattr(self, field.name)} -> {getattr(other, field.name)}"
            for field in dataclasses.fields(self)
            if not field.metadata["may_change"]
            and getattr(self, field.name) != getattr(other, field.name)
        ]
        # Other epochs would be another schedule, of which the steps made so far are no part.
        if not differences and self.schedule_length != other.schedule_length:
            lengths = f"{self.schedule_length} -> {other.schedule_length}"
            differences.append(f"schedule_epochs: {lengths}")
        return differences


DROPOUT_RATES = (
    "input_dropout",
    "hidden_dropout",
    "output_dropout",
    "embedding_dropout",
    "weight_dropout",
)
