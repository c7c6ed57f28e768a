"""The work of `serving.export`."""

import dataclasses
import pathlib

from absl import flags

from serving.limits import Limits
from serving.saved_model import export_saved_model
from trainers.training.factory import load_model

FLAGS = flags.FLAGS
BUNDLED = "bundled"


def main():
    """Exports the model that the flags name."""
    model, vocabulary, _ = load_model(FLAGS.workdir, "float32")
    name = BUNDLED if FLAGS.workdir is None else pathlib.Path(FLAGS.workdir).resolve().name
    limits = {limit.name: getattr(FLAGS, limit.name) for limit in dataclasses.fields(Limits)}
    path = export_saved_model(
        model,
        vocabulary,
        FLAGS.output,
        FLAGS.name or name,
        version=FLAGS.version,
        dtype=FLAGS.dtype,
        limits=Limits(**limits),
        warmup=FLAGS.warmup,
    )
    num_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    print(
        f"{path}: {model.count_params():,} parameters, {len(vocabulary):,} words, {FLAGS.dtype}, "
        f"{num_bytes / 1e6:.1f} MB"
    )
