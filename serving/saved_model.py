"""Exports a SavedModel for TensorFlow Serving, and the command `serving.export`."""

import dataclasses
import pathlib

import tensorflow as tf
from absl import flags

from awd_keras.atomic_write import atomic_folder
from awd_keras.ops import portable_kernels
from serving.limits import Limits
from serving.network import Network
from serving.signatures import Signatures
from serving.vocabulary_table import VocabularyTable
from serving.warmup import write_warmup
from trainers.errors import UserError
from trainers.training.factory import load_model

FLAGS = flags.FLAGS
BUNDLED = "bundled"
VOCABULARY_FILE = "assets.extra/vocabulary.txt"


def main():
    """Runs `serving.export`."""
    model, vocabulary, _ = load_model(FLAGS.workdir, "float32")
    default = BUNDLED if FLAGS.workdir is None else pathlib.Path(FLAGS.workdir).resolve().name
    limits = Limits(**{limit.name: FLAGS[limit.name].value for limit in dataclasses.fields(Limits)})
    arguments = FLAGS.output, FLAGS.name or default, FLAGS.version, FLAGS.dtype, limits
    path = export_saved_model(model, vocabulary, *arguments, FLAGS.warmup)
    num_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    print(f"{path}: {len(vocabulary):,} words, {FLAGS.dtype}, {num_bytes / 1e6:.1f} MB")


def export_saved_model(
    model, vocabulary, output, name, version=None, dtype="float32", limits=None, warmup=True
):
    """Writes `output/name/version/`, a SavedModel with the signatures of `Signatures`.

    The SavedModel runs on CPUs and GPUs without this library. The model is not changed.

    Args:
        model: An `AWDLSTMLanguageModel`.
        vocabulary: Its `Vocabulary`.
        output: The folder for all models.
        name: Name of the model.
        version: Positive integer. Defaults to one more than the highest version there is.
        dtype: `"float32"` or `"bfloat16"`, the dtype of the weights and matmuls. Defaults to
            `"float32"`.
        limits: `Limits` of a request. Defaults to `Limits()`.
        warmup: Whether to write warm-up requests. Defaults to `True`.

    Returns:
        The folder of the version, a `pathlib.Path`.

    Raises:
        InputError: If the vocabulary has no `<eos>`, or its size differs from the model's.
        UserError: If the version exists.
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
            # A server computes no gradients.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, str(folder), signatures=functions, options=options)
        (folder / VOCABULARY_FILE).parent.mkdir()
        vocabulary.save(folder / VOCABULARY_FILE)
        if warmup:
            write_warmup(folder, name, vocabulary, network.state_size, limits)
    return path


def existing_versions(folder):
    """Returns the sorted versions in the folder of a model, which may be missing."""
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def _new_version(folder, version):
    versions = existing_versions(folder)
    next_version = max(versions, default=0) + 1
    if version in versions:
        raise UserError(
            f"{folder} already has a version {version}. Choose another, or omit the version to "
            f"write version {next_version}."
        )
    return folder / str(version or next_version)
