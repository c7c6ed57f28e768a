"""From a model in memory to a folder that TensorFlow Serving loads."""

import pathlib

import tensorflow as tf

from awd_keras.atomic_write import atomic_folder
from awd_keras.ops import portable_kernels
from serving.limits import Limits
from serving.network import Network
from serving.signatures import Signatures
from serving.vocabulary_table import VocabularyTable
from serving.warmup import write_warmup
from trainers.errors import UserError

VOCABULARY_FILE = "assets.extra/vocabulary.txt"


def export_saved_model(
    model,
    vocabulary,
    output,
    name,
    version=None,
    dtype="float32",
    limits=None,
    warmup=True,
):
    """Writes `output/name/version/`, a SavedModel with the signatures of `Signatures`.

    The SavedModel runs on CPUs and GPUs without this library. The model is not changed.

    Args:
        model: an `AWDLSTMLanguageModel`.
        vocabulary: its `Vocabulary`.
        output: folder of all models.
        name: name of the model.
        version: positive integer. Defaults to one more than the highest version there is.
        dtype: `"float32"` or `"bfloat16"`, the dtype of the weights and matmuls. bfloat16 is for
            servers whose processors support it. Defaults to `"float32"`.
        limits: `Limits` of a request. Defaults to `Limits()`.
        warmup: whether to add warm-up requests. Defaults to True.

    Returns:
        `pathlib.Path` of the version's folder.

    Raises:
        InputError: if the vocabulary has no `<eos>`, or not the size of the model's softmax.
        UserError: if the version exists.
    """
    vocabulary.check_compatible(model.backbone.vocabulary_size)
    limits = limits or Limits()
    path = _new_version(pathlib.Path(output) / name, version)
    network = Network(model, dtype)
    module = tf.Module()
    module.variables_of_network = network.variables
    module.table = VocabularyTable(vocabulary)
    functions = Signatures(network, module.table, limits).functions()
    with atomic_folder(path) as folder:
        with portable_kernels():
            # Servers take no gradients.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, str(folder), signatures=functions, options=options)
        (folder / VOCABULARY_FILE).parent.mkdir()
        vocabulary.save(folder / VOCABULARY_FILE)
        if warmup:
            write_warmup(folder, name, vocabulary, network.state_size, limits)
    return path


def existing_versions(folder):
    """Returns the sorted versions of a model: the subfolders whose names are integers.

    Args:
        folder: `pathlib.Path` of the model, which may be missing.
    """
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def _new_version(folder, version):
    versions = existing_versions(folder)
    if version is None:
        version = versions[-1] + 1 if versions else 1
    if version in versions:
        raise UserError(
            f"{folder} has a version {version} already. Leave --version out to write version "
            f"{versions[-1] + 1}, or choose another."
        )
    return folder / str(version)
