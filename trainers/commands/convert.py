"""Converts weights to and from PyTorch."""

import os
import sys

from absl import flags

from awd_keras import io
from awd_keras.atomic_write import atomic_folder
from awd_keras.data import EOS, UNK, Vocabulary
from trainers.errors import UserError
from trainers.presets import PRESETS
from trainers.training import RunFolder, factory
from trainers.training.checkpoint import save_weights

FLAGS = flags.FLAGS


def main():
    if FLAGS.workdir and FLAGS.output and not FLAGS.input:
        _export()
    elif FLAGS.input and FLAGS.vocabulary and FLAGS.output_workdir and not FLAGS.workdir:
        _import()
    else:
        raise UserError(
            "Pass --workdir and --output to export weights, or --input, --vocabulary and "
            "--output_workdir to import them."
        )


def _export():
    model, _, _ = factory.load_run(FLAGS.workdir, dtype="float32")
    io.write_state_dict(FLAGS.output, io.to_pytorch(model, FLAGS.format))
    print(f"wrote {FLAGS.output}: {model.count_params():,} parameters")
    print(f"vocabulary: {os.path.join(FLAGS.workdir, 'vocabulary.txt')}")


def _import():
    state_dict = io.read_state_dict(FLAGS.input)
    sizes = io.infer_sizes(state_dict)
    vocabulary = Vocabulary.load(FLAGS.vocabulary)
    vocabulary_size = sizes.pop("vocabulary_size")
    if len(vocabulary) != vocabulary_size:
        raise UserError(
            f"{FLAGS.vocabulary} must have one word for each of the {vocabulary_size:,} rows of "
            f"the embedding. Received: {len(vocabulary):,} words"
        )
    settings = PRESETS[FLAGS.preset].config
    corpus = FLAGS.corpus or settings.corpus
    settings = settings.replace(corpus=corpus, data_dir=FLAGS.data_dir, dtype="float32", **sizes)
    model = factory.build_model(settings, vocabulary_size)
    io.from_pytorch(model, state_dict)
    facts = {"name": corpus, "vocabulary_digest": vocabulary.digest, "weights_from": FLAGS.input}
    with atomic_folder(FLAGS.output_workdir) as temporary:
        folder = RunFolder(temporary)
        folder.write_record(settings, facts)
        vocabulary.save(folder.vocabulary_file)
        save_weights(folder.best_checkpoint, model, {"step": 0})
    described = ", ".join(f"{name}={value}" for name, value in sizes.items())
    print(f"model: {model.count_params():,} parameters, {vocabulary_size:,} words, {described}")
    for word in (UNK, EOS):
        if word not in vocabulary:
            print(f"warning: {FLAGS.vocabulary} does not contain {word}", file=sys.stderr)
    print(f"run folder: {FLAGS.output_workdir}")
