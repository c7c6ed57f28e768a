"""Carries weights to and from PyTorch: the authors' model and fastai's AWD_LSTM.

  python -m trainers.convert --workdir=RUN --output=weights.safetensors --format=authors
  python -m trainers.convert --workdir=RUN --output=weights.pth --format=fastai
  python -m trainers.convert --input=weights.pth --vocabulary=words.txt --output_workdir=RUN

The way out writes the best weights of a run (the averaged ones, where averaging had begun). The way
in makes a run folder, which the commands that work on a trained run take as --workdir. Files are
.safetensors, or .pt and .pth state dicts where PyTorch is installed. A pickled model is refused;
the message says how to convert it.

The vocabulary is a text file, one word on each line, the first word for row 0. This library reads
unknown words as <unk> and the end of a line as <eos>: call the words so (fastai's xxunk), and give
repeated fillers (xxfake) names of their own.
"""

import os
import sys

from absl import flags

from trainers import command
from trainers.config import CORPORA
from trainers.errors import UserError
from trainers.presets import PRESETS, preset

FLAGS = flags.FLAGS
_OUT, _IN = ("workdir", "output"), ("input", "vocabulary", "output_workdir")
_IN_ONLY = (*_IN, "preset", "corpus", "data_dir")


def main():
    _define_flags()
    command.main(_convert)


def _define_flags():
    flags.DEFINE_string("workdir", None, "out: run folder whose best weights are written")
    flags.DEFINE_string("output", None, "out: file to write, .safetensors, .pt or .pth")
    flags.DEFINE_string("input", None, "in: file to read, .safetensors, .pt or .pth")
    flags.DEFINE_string(
        "vocabulary", None, "in: file of the words in the order of the weights' rows"
    )
    flags.DEFINE_string("output_workdir", None, "in: run folder to make")
    flags.DEFINE_enum(
        "format",
        None,
        ["authors", "fastai"],
        "whose names the weights have; default: authors on the way out, recognized on the way in",
    )
    flags.DEFINE_enum(
        "preset",
        "ptb",
        list(PRESETS),
        "in: settings of the run that weights do not tell: dropout rates, batch size, corpus",
    )
    flags.DEFINE_enum("corpus", None, CORPORA, "in: the corpus of the run; default: the preset's")
    flags.DEFINE_string("data_dir", None, "in: the folder of the corpus, as in trainers.ptb")


def _convert():
    out = any(FLAGS[name].present for name in _OUT)
    needed, foreign = (_OUT, _IN_ONLY) if out else (_IN, ())
    missing = [f"--{name}" for name in needed if not getattr(FLAGS, name)]
    extra = [f"--{name}" for name in foreign if FLAGS[name].present]
    if missing or extra:
        raise UserError(
            "Expected --workdir and --output, or --input, --vocabulary and --output_workdir. "
            f"Missing: {', '.join(missing) or 'none'}. Too much: {', '.join(extra) or 'none'}"
        )
    return _write() if out else _read()


def _write():
    from awd_keras import io
    from trainers.training import factory

    model, _, _ = factory.load_run(FLAGS.workdir, dtype="float32")
    state_dict = io.to_pytorch(model, FLAGS.format or "authors")
    io.write_state_dict(FLAGS.output, state_dict)
    print(f"written: {FLAGS.output}, {model.count_params():,} parameters")
    print(f"its words: {os.path.join(FLAGS.workdir, 'vocabulary.txt')}")


def _read():
    from awd_keras import io
    from awd_keras.data import EOS, UNK, Vocabulary
    from trainers.training import factory
    from trainers.training.trained_run import write_trained_run

    source = FLAGS.format or "auto"
    state_dict = io.read_state_dict(FLAGS.input)
    sizes = io.infer_sizes(state_dict, source)
    vocabulary_size = sizes.pop("vocabulary_size")
    try:
        vocabulary = Vocabulary.load(FLAGS.vocabulary)
    except ValueError as error:
        raise UserError(str(error)) from error
    if len(vocabulary) != vocabulary_size:
        raise UserError(
            f"{FLAGS.vocabulary} must have {vocabulary_size:,} words, one for each row of the "
            f"embedding in {FLAGS.input}. Received: {len(vocabulary):,} words"
        )
    settings = preset(FLAGS.preset).config
    corpus = FLAGS.corpus or settings.corpus
    settings = settings.replace(corpus=corpus, data_dir=FLAGS.data_dir, dtype="float32", **sizes)
    model = factory.build_model(settings, vocabulary_size)
    io.from_pytorch(model, state_dict, source)
    write_trained_run(FLAGS.output_workdir, model, vocabulary, settings, corpus, FLAGS.input)
    described = ", ".join(f"{name}={value}" for name, value in sizes.items())
    print(f"model: {model.count_params():,} parameters, {vocabulary_size:,} words, {described}")
    for word, what in ((UNK, "unknown words"), (EOS, "ends of lines")):
        if word not in vocabulary:
            message = f"warning: {FLAGS.vocabulary} has no {word}, which {what} are read as"
            print(message, file=sys.stderr)
    print(f"run folder: {FLAGS.output_workdir}")


if __name__ == "__main__":
    main()
