"""Exports a SavedModel for TensorFlow Serving, and the command `serving.export`."""

import dataclasses
import pathlib

import tensorflow as tf
from absl import flags
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from awd_keras.atomic_write import atomic_folder
from awd_keras.ops import portable_kernels
from serving.limits import Limits
from serving.litert import export_litert
from serving.network import Network
from serving.signatures import Signatures
from serving.vocabulary_table import VocabularyTable
from trainers.errors import UserError
from trainers.training.factory import load_model

FLAGS = flags.FLAGS
BUNDLED = "bundled"
VOCABULARY_FILE = "assets.extra/vocabulary.txt"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def main():
    """Runs `serving.export`."""
    is_litert = FLAGS.format == "litert"
    if is_litert and FLAGS.dtype != "float32":
        raise UserError("--dtype has no effect with --format=litert. Use --quantize.")
    if FLAGS.quantize and not is_litert:
        raise UserError("--quantize has no effect without --format=litert.")
    if FLAGS.name in (".", "..") or "/" in (FLAGS.name or ""):
        raise UserError(f"--name must be the name of a folder. Received: {FLAGS.name}")
    model, vocabulary, _ = load_model(FLAGS.workdir, "float32")
    default = BUNDLED if FLAGS.workdir is None else pathlib.Path(FLAGS.workdir).resolve().name
    arguments = model, vocabulary, FLAGS.output, FLAGS.name or default
    if is_litert:
        path = export_litert(*arguments, FLAGS.quantize)
        dtype = "int8" if FLAGS.quantize else "float32"
    else:
        names = [limit.name for limit in dataclasses.fields(Limits)]
        limits = Limits(**{name: FLAGS[name].value for name in names})
        path = export_saved_model(*arguments, FLAGS.dtype, limits)
        dtype = FLAGS.dtype
    print(f"{path}: {len(vocabulary):,} words, {dtype}")


def export_saved_model(model, vocabulary, output, name, dtype="float32", limits=None):
    """Writes `output/name/version/`, a SavedModel with the signatures of `Signatures`.

    The version is one more than the highest one in `output/name`. The SavedModel runs on CPUs and
    GPUs without this library.

    Args:
        model: An `AWDLSTMLanguageModel`. It is not changed.
        vocabulary: Its `Vocabulary`.
        output: Folder for all models.
        name: Name of the model.
        dtype: `"float32"` or `"bfloat16"`, the dtype of the weights and matmuls. Defaults to
            `"float32"`.
        limits: `Limits` of a request. Defaults to `Limits()`.

    Returns:
        The folder of the version, a `pathlib.Path`.

    Raises:
        InputError: If the vocabulary has no `<eos>`, or its size differs from the model's.
    """
    vocabulary.check_compatible(model.backbone.vocabulary_size)
    models = pathlib.Path(output) / name
    path = models / str(max(existing_versions(models), default=0) + 1)
    network = Network(model, dtype)
    module = tf.Module()
    module.variables_of_network = network.variables
    module.table = VocabularyTable(vocabulary)
    functions = Signatures(network, module.table, limits or Limits()).functions()
    with atomic_folder(path) as folder:
        with portable_kernels():
            tf.saved_model.save(module, str(folder), signatures=functions)
        (folder / VOCABULARY_FILE).parent.mkdir()
        vocabulary.save(folder / VOCABULARY_FILE)
        _write_warmup(folder / WARMUP_FILE, name, functions)
    return path


def existing_versions(folder):
    """Returns the versions in the folder of a model, which may be missing."""
    names = (path.name for path in folder.glob("*") if path.is_dir())
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def _write_warmup(path, name, functions):
    """Writes a small request for each signature, because its first call is slow.

    TensorFlow Serving replays these requests before it serves the version.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, function in functions.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for spec in function.get_concrete_function().structured_input_signature[0]:
                value = "" if spec.dtype == tf.string else 1
                tensor = tf.make_tensor_proto(value, spec.dtype, [size or 1 for size in spec.shape])
                request.inputs[spec.name].CopyFrom(tensor)
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())
