"""Builds corpora, models and optimizers from settings, and loads trained models."""

import keras
import tensorflow as tf

from awd_keras.bundled_model import load_bundled_model
from awd_keras.data.batching import padded_lengths
from awd_keras.data.load import load_corpus
from awd_keras.data.tokenizer import Tokenizer
from awd_keras.models.language_model import AWDLSTMLanguageModel
from awd_keras.ops.recurrent_matmul import fastest_forms
from awd_keras.optimizers.nt_asgd import NTASGD
from awd_keras.optimizers.scheduled_momentum import ScheduledMomentumAdam, ScheduledMomentumSGD
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training.run_folder import RunFolder

_OPTIMIZERS = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
_SCHEDULED = {"sgd": ScheduledMomentumSGD, "adam": ScheduledMomentumAdam}
_MOMENTUM = {"sgd": "momentum", "adam": "beta_1"}
_MEASURED_UNITS = 512
# Instruction sets with bfloat16 matmuls, as /proc/cpuinfo names them.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def build_corpus(config, data_dir=None):
    """Loads the `Corpus` of a `TrainingConfig`, from another folder if `data_dir` is given."""
    return load_corpus(
        config.corpus,
        data_dir or config.data_dir,
        config.max_vocabulary_size,
        config.max_train_tokens,
        tokenizer=Tokenizer(config.tokenizer, config.lowercase),
        by_frequency=bool(config.adaptive_softmax_cutoffs),
    )


def resolve_dtype(dtype, recorded=None):
    """Resolves `--dtype=auto` for this machine, or as `recorded` by an existing run.

    Returns:
        A tuple `(dtype, reason)`: `"float32"` or `"bfloat16"`, and why.
    """
    if dtype != "auto":
        return dtype, "as requested"
    if recorded in ("float32", "bfloat16"):
        return recorded, "as in the existing run"
    if tf.config.list_physical_devices("GPU"):
        # cuDNN's bfloat16 results are cast back to float32, which costs as much as it saves.
        return "float32", "bfloat16 is no faster on GPUs"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = {flag for line in file if line.startswith("flags") for flag in line.split()}
    except OSError:
        flags = set()
    if flags & _BFLOAT16_FLAGS:
        return "bfloat16", "the CPU supports it"
    return "float32", "the CPU does not support bfloat16"


def resolve_kernel(config, recorded=None):
    """Resolves `--kernel=auto` for this machine, or as `recorded` by an existing run.

    The forms of the recurrent matmuls are measured, except for small layers, which gain little.
    """
    if config.kernel != "auto" or tf.config.list_physical_devices("GPU"):
        return config.kernel
    if recorded is not None:
        return recorded
    units = config.embedding_dim if config.num_layers == 1 else config.hidden_dim
    if config.rnn != "lstm" or units < _MEASURED_UNITS:
        return "portable"
    forms = fastest_forms(units, config.batch_size, resolve_dtype(config.dtype)[0])
    return "/".join(("portable", *forms))


def resolve_automatic(config, recorded=None):
    """Resolves the settings that are `"auto"` for this machine, or as `recorded`.

    Args:
        config: A `TrainingConfig`.
        recorded: The `TrainingConfig` of the existing run, if any.

    Returns:
        A tuple `(config, reason)`, where `reason` says why the dtype was chosen.
    """
    dtype, reason = resolve_dtype(config.dtype, recorded and recorded.dtype)
    config = config.replace(dtype=dtype)
    kernel = resolve_kernel(config, recorded and recorded.kernel)
    return config.replace(kernel=kernel), reason


def build_model(config, vocabulary_size):
    """Builds the `AWDLSTMLanguageModel` of a `TrainingConfig`, with its weights.

    Raises:
        UserError: If a cutoff of the adaptive softmax is not below the vocabulary size.
    """
    cutoffs = config.adaptive_softmax_cutoffs
    if cutoffs and cutoffs[-1] >= vocabulary_size:
        raise UserError(
            f"adaptive_softmax_cutoffs must be below the number of words, {vocabulary_size:,}. "
            f"Received: adaptive_softmax_cutoffs={cutoffs}"
        )
    dtype, _ = resolve_dtype(config.dtype)
    return AWDLSTMLanguageModel(
        vocabulary_size,
        embedding_dim=config.embedding_dim,
        hidden_dim=config.hidden_dim,
        num_layers=config.num_layers,
        tie_weights=config.tie_weights,
        seed=config.seed,
        rnn=config.rnn,
        adaptive_softmax_cutoffs=cutoffs,
        dtype="mixed_bfloat16" if dtype == "bfloat16" else "float32",
        **config.dropout_rates(),
    )


def build_optimizer(config, model):
    """Builds the `NTASGD` of a `TrainingConfig`; the training step clips gradients."""
    kinds = _OPTIMIZERS if config.momentum_min is None else _SCHEDULED
    arguments = {"learning_rate": float(config.learning_rate)}
    if config.momentum is not None:
        arguments[_MOMENTUM[config.optimizer]] = float(config.momentum)
    optimizer = kinds[config.optimizer](weight_decay=config.weight_decay or None, **arguments)
    optimizer = NTASGD(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def step_options(config):
    """Returns the keyword arguments of `make_train_step` for a `TrainingConfig`."""
    names = ("ar_alpha", "tar_beta", "global_clipnorm", "seed", "kernel")
    lengths = padded_lengths(config.bptt, config.bptt_std, config.bptt_min, config.bptt_max)
    return {**{name: getattr(config, name) for name in names}, "padded_lengths": lengths}


def load_run(workdir, dtype=None):
    """Loads a trained run: its best weights, averaged if averaging had started.

    Args:
        workdir: The run folder.
        dtype: `"float32"` or `"bfloat16"`. Defaults to the dtype of the run.

    Returns:
        A tuple `(model, vocabulary, config)`.
    """
    folder = RunFolder(workdir)
    config, _ = folder.read_config()
    if dtype is not None:
        config = config.replace(dtype=dtype)
    vocabulary = folder.read_vocabulary()
    model = build_model(config, len(vocabulary))
    folder.load_best(model)
    return model, vocabulary, config


def load_model(workdir=None, dtype=None):
    """Loads a trained run as `load_run` does, or the bundled model if `workdir` is `None`."""
    if workdir is not None:
        return load_run(workdir, dtype)
    dtype = dtype or "float32"
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    model, vocabulary, facts = load_bundled_model(policy)
    return model, vocabulary, TrainingConfig.from_dict(facts["settings"]).replace(dtype=dtype)
