"""From a model in memory to a folder that TensorFlow Serving deploys."""

import dataclasses
import importlib.util
import json
import pathlib
import tempfile

import tensorflow as tf

from awd_keras.data.vocabulary_check import check_vocabulary
from serving.limits import Limits
from serving.network import Network
from serving.signatures import Signatures
from serving.version_folder import new_version
from serving.vocabulary_table import VocabularyTable
from serving.warmup import write_warmup
from trainers.errors import UserError

DTYPES = ("float32", "bfloat16")
WEIGHTS = ("float32", "bfloat16", "int8")
# Facts for people and for tools that need not read the graph; the server passes it by.
FACTS_FILE = "assets.extra/facts.json"
_FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Export:
    """A version that was written.

    Args:
        path: `pathlib.Path` of its folder.
        name: the model's name.
        version: its number.
        num_bytes: size of all files.
        variable_bytes: size of the weights among them.
        num_warmup_requests: requests in the warm-up file.
    """

    path: pathlib.Path
    name: str
    version: int
    num_bytes: int
    variable_bytes: int
    num_warmup_requests: int


def export_saved_model(
    model,
    vocabulary,
    output,
    name,
    version=None,
    dtype="float32",
    weights=None,
    limits=None,
    warmup=True,
    facts=None,
):
    """Writes `output/name/version/`, a SavedModel with the signatures of `Signatures`.

    It needs no Python and no package of ours to be served, runs on CPUs and GPUs alike, whichever
    exported it, and holds every weight once. The model is read, never changed.

    Args:
        model: an `AWDLSTMLanguageModel`, with the weights to serve in place.
        vocabulary: its `Vocabulary`.
        output: folder of all models.
        name: the model's name.
        version: None for one more than the last there is, or an integer.
        dtype: "float32", or "bfloat16" for servers whose hardware multiplies it: precision of the
            products.
        weights: None for `dtype`, or "int8": how matrices are stored. int8 has a scale for each
            row of the transposed matrix: each word, each gate of each unit.
        limits: None for the default `Limits`.
        warmup: whether to write a warm-up file, which needs the package tensorflow-serving-api.
        facts: None, or a dictionary for JSON, kept beside the graph.

    Returns:
        an `Export`.

    Raises:
        UserError: if dtype and weights do not go together, or tensorflow-serving-api is missing.
        InputError: if the vocabulary has no `<eos>`, or not the size of the model's.
        UserError: if the version exists, or name or number cannot be.
    """
    weights = weights or dtype
    _check(model, vocabulary, dtype, weights, warmup)
    limits = limits or Limits()
    # A GPU of this machine has nothing to do here: what is traced names no device.
    with new_version(output, name, version) as (path, place), tempfile.TemporaryDirectory() as at:
        vocabulary_file = pathlib.Path(at) / "vocabulary.txt"
        vocabulary.save(vocabulary_file)
        network = Network(model, dtype, weights)
        signatures = Signatures(network, VocabularyTable(vocabulary, vocabulary_file), limits)
        tf.saved_model.save(signatures, str(path), signatures=signatures.functions())
        (path / FACTS_FILE).parent.mkdir(exist_ok=True)
        content = {
            **(facts or {}),
            "format_version": _FORMAT_VERSION,
            "dtype": dtype,
            "weights": weights,
            "vocabulary_size": len(vocabulary),
            "vocabulary_digest": vocabulary.digest,
            "state_size": network.state_size,
            "limits": dataclasses.asdict(limits),
        }
        (path / FACTS_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        count = 0
        if warmup:
            count = write_warmup(path, name, vocabulary, network.state_size, limits)
    return Export(
        path=place,
        name=name,
        version=int(place.name),
        num_bytes=_size(place),
        variable_bytes=_size(place / "variables"),
        num_warmup_requests=count,
    )


def _check(model, vocabulary, dtype, weights, warmup):
    if dtype not in DTYPES or weights not in (dtype, "int8"):
        raise UserError(
            f"dtype must be one of {', '.join(DTYPES)}, and weights the same or int8. "
            f"Received: dtype={dtype!r}, weights={weights!r}"
        )
    check_vocabulary(vocabulary, model.backbone.vocabulary_size)
    if warmup and importlib.util.find_spec("tensorflow_serving") is None:
        raise UserError(
            "The warm-up file is written with the package tensorflow-serving-api, which is not "
            "installed. Run: pip install '.[serving]' in a clone of the repository, or leave the "
            "file out by --nowarmup."
        )


def _size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
