"""Converts weights to and from PyTorch."""

import os
import shlex
import warnings

from absl import flags

from awd_keras import io
from awd_keras.atomic_write import atomic_folder
from awd_keras.data import EOS, UNK, Vocabulary
from trainers import config_flags
from trainers.errors import UserError
from trainers.presets import PRESETS
from trainers.training import RunFolder, factory
from trainers.training.checkpoint import save_weights

FLAGS = flags.FLAGS
# Flags that name the words for these marks, and the names of the marks in other programs, the
# likeliest first.
_MARKS = {
    UNK: ("unk_word", ("<UNK>", "[UNK]", "xxunk", "_unk_", "UNK", "unk")),
    EOS: ("eos_word", ("</s>", "<EOS>", "[EOS]", "xxbos", "xxeos", "xbos")),
}


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
    vocabulary_size = sizes.pop("vocabulary_size")
    vocabulary = _read_vocabulary(vocabulary_size)
    given = config_flags.given_settings()
    preset = PRESETS[FLAGS.preset].config.replace(adaptive_softmax_cutoffs=(), dtype="float32")
    settings = preset.replace(**given, **sizes)
    model = factory.build_model(settings, vocabulary_size)
    io.from_pytorch(model, state_dict)
    facts = {
        "name": settings.corpus,
        "vocabulary_digest": vocabulary.digest,
        "weights_from": FLAGS.input,
    }
    with atomic_folder(FLAGS.output_workdir) as temporary:
        folder = RunFolder(temporary)
        folder.write_record(settings, facts)
        vocabulary.save(folder.vocabulary_file)
        save_weights(folder.best_checkpoint, model, {"step": 0})
    described = ", ".join(f"{name}={value}" for name, value in sizes.items())
    print(f"model: {model.count_params():,} parameters, {vocabulary_size:,} words, {described}")
    for name, (flag, _) in _MARKS.items():
        if FLAGS[flag].value is not None:
            print(f"{name}: {FLAGS[flag].value} in {FLAGS.vocabulary}")
    print(f"run folder: {FLAGS.output_workdir}")


def _read_vocabulary(size):
    """Returns the vocabulary, in which the words named by flags are `<unk>` and `<eos>`."""
    words = list(Vocabulary.load(FLAGS.vocabulary).words)
    if len(words) != size:
        raise UserError(
            f"{FLAGS.vocabulary} must have one word for each of the {size:,} rows of the "
            f"embedding. Received: {len(words):,} words"
        )
    for name, (flag, others) in _MARKS.items():
        word = FLAGS[flag].value
        if word is not None:
            if name in words or word not in words:
                raise UserError(
                    f"--{flag} must be a word of {FLAGS.vocabulary}, which must not contain "
                    f"{name}. Received: --{flag}={word}"
                )
            words[words.index(word)] = name
        elif name not in words:
            likely = next((word for word in others if word in words), None)
            advice = (
                f"if {likely} is that word, add --{flag}={shlex.quote(likely)}"
                if likely
                else f"see --{flag}"
            )
            warnings.warn(f"{FLAGS.vocabulary} does not contain {name}; {advice}.", stacklevel=1)
    return Vocabulary(words)
