r"""Converts weights to and from PyTorch: the authors' model and fastai's AWD_LSTM.

  python -m trainers.convert --workdir=RUN --output=weights.safetensors --format=authors
  python -m trainers.convert --workdir=RUN --output=weights.pth --format=fastai
  python -m trainers.convert --input=weights.pth --vocabulary=words.txt --output_workdir=RUN

An export writes the best weights of a run (averaged, if averaging had started). An import creates a
run folder, which all commands that take a trained run accept as --workdir. It reads the weights of
fastai since version 0.7 (ULMFiT) and of PyTorch's word language model with an LSTM, too. Files are
.safetensors, or .pt, .pth and .h5 (fastai 0.7) state dicts if PyTorch is installed. Pickled models
are rejected.

The vocabulary is a text file with one word per line, in the order of the rows of the embedding.
White space in a word is written as \uXXXX, such as \u000a for a line feed. Words must be distinct,
so give repeated fillers (xxfake) distinct names. --unk_word and --eos_word say which words stand
for unknown words and the end of a line, for example --unk_word=xxunk --eos_word=xxbos for fastai.
"""

import dataclasses

from absl import flags

from trainers import cli, config_flags
from trainers.config import TrainingConfig
from trainers.presets import PRESETS


def main():
    with cli.section("Export"):
        flags.DEFINE_string("workdir", None, "run folder whose best weights are exported")
        flags.DEFINE_string("output", None, "file to write: .safetensors, .pt or .pth")
        flags.DEFINE_enum("format", "authors", ["authors", "fastai"], "names of the weights")
    with cli.section("Import"):
        flags.DEFINE_string("input", None, "file to read: .safetensors, .pt, .pth or .h5")
        flags.DEFINE_string("vocabulary", None, "file with the words in the order of the embedding")
        flags.DEFINE_string("unk_word", None, "word of the vocabulary to rename to <unk>")
        flags.DEFINE_string("eos_word", None, "word of the vocabulary to rename to <eos>")
        flags.DEFINE_string("output_workdir", None, "run folder to create")
        help = "preset for settings that the weights do not contain, such as dropout"
        flags.DEFINE_enum("preset", "ptb", list(PRESETS), help)
    for field in dataclasses.fields(TrainingConfig):
        if field.name in ("corpus", "data_dir", "tokenizer", "lowercase"):
            config_flags.define_config_flag(field, None)
    cli.main("trainers.commands.convert", __doc__)


if __name__ == "__main__":
    main()
