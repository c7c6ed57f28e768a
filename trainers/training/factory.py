"""From settings to objects: the one place that knows both."""

import keras
import tensorflow as tf

from awd_keras.models.language_model import AWDLSTMLanguageModel
from awd_keras.optimizers.in_place_sgd import InPlaceSGD
from awd_keras.optimizers.nt_asgd import NTASGD
from awd_keras.optimizers.scheduled_momentum import ScheduledMomentumAdam, ScheduledMomentumSGD
from trainers.errors import UserError
from trainers.training.run_folder import RunFolder
from trainers.training.training_state import load_weights

_OPTIMIZERS = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
_WITHOUT_MOMENTUM = {"sgd": InPlaceSGD, "adam": keras.optimizers.Adam}
_SCHEDULED = {"sgd": ScheduledMomentumSGD, "adam": ScheduledMomentumAdam}
_MOMENTUM = {"sgd": "momentum", "adam": "beta_1"}
# Instruction sets that multiply bfloat16, as /proc/cpuinfo names them.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def resolve_dtype(dtype):
    """What `--dtype` means on this machine.

    Args:
        dtype: "auto", "float32" or "bfloat16".

    Returns:
        `(dtype, reason)`: "float32" or "bfloat16", and a few words on why.
    """
    if dtype != "auto":
        return dtype, "as asked"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        capability = details.get("compute_capability", (0, 0))
        if capability >= (8, 0):
            return "bfloat16", "the GPU multiplies it"
        return "float32", "the GPU does not multiply bfloat16"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = {flag for line in file if line.startswith("flags") for flag in line.split()}
    except OSError:
        flags = set()
    if flags & _BFLOAT16_FLAGS:
        return "bfloat16", "this CPU multiplies it"
    return "float32", "this CPU has no bfloat16 products, so it takes longer"


def build_model(config, vocabulary_size):
    """Builds the language model of a configuration.

    Args:
        config: `TrainingConfig`.
        vocabulary_size: number of words.

    Returns:
        an `AWDLSTMLanguageModel` with its weights.
    """
    dtype, _ = resolve_dtype(config.dtype)
    return AWDLSTMLanguageModel(
        vocabulary_size,
        embedding_dim=config.embedding_dim,
        hidden_dim=config.hidden_dim,
        num_layers=config.num_layers,
        tie_weights=config.tie_weights,
        seed=config.seed,
        dtype="mixed_bfloat16" if dtype == "bfloat16" else "float32",
        **config.dropout_rates(),
    )


def build_optimizer(config, model):
    """Builds NT-ASGD around the optimizer of a configuration, with its slots.

    The gradient is clipped by the training step, once, whatever the optimizer.

    Args:
        config: `TrainingConfig`.
        model: the model whose weights it will train.

    Returns:
        an `NTASGD`.
    """
    if config.momentum_min is not None:
        kinds = _SCHEDULED
    else:
        kinds = _OPTIMIZERS if config.momentum else _WITHOUT_MOMENTUM
    arguments = {"learning_rate": float(config.learning_rate)}
    if config.momentum is not None:
        arguments[_MOMENTUM[config.optimizer]] = float(config.momentum)
    inner = kinds[config.optimizer](weight_decay=config.weight_decay or None, **arguments)
    optimizer = NTASGD(inner)
    optimizer.build(model.trainable_variables)
    return optimizer


def load_run(workdir, dtype=None):
    """The trained model of a run folder: its best weights, averaged where averaging had begun.

    Args:
        workdir: the folder.
        dtype: None for the dtype of the run, or "float32" or "bfloat16".

    Returns:
        `(model, vocabulary, config)`: `AWDLSTMLanguageModel`, `Vocabulary`, `TrainingConfig`.

    Raises:
        UserError: if the folder holds no run.
        UserError: if it has no best weights yet, or they cannot be read.
    """
    folder = RunFolder(workdir)
    if not folder.check():
        raise UserError(f"There is no run in {workdir}. Train one first, or name its folder.")
    config, _ = folder.read_config()
    if dtype is not None:
        config = config.replace(dtype=dtype)
    vocabulary = folder.read_vocabulary()
    model = build_model(config, len(vocabulary))
    load_weights(folder.best_checkpoint, model)
    return model, vocabulary, config
