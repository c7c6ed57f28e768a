"""Converts weights to and from PyTorch: the authors' model and fastai's AWD_LSTM.

  python -m trainers.convert --workdir=RUN --output=weights.safetensors --format=authors
  python -m trainers.convert --workdir=RUN --output=weights.pth --format=fastai
  python -m trainers.convert --input=weights.pth --vocabulary=words.txt --output_workdir=RUN

An export writes the best weights of a run (averaged, if averaging had started). An import creates a
run folder, which all commands that take a trained run accept as --workdir. Files are .safetensors,
or .pt and .pth state dicts if PyTorch is installed. Pickled models are rejected.

The vocabulary is a text file with one word per line, in the order of the rows of the embedding.
The unknown word must be named <unk> and the end of a line <eos>, so rename fastai's xxunk, and give
repeated fillers (xxfake) distinct names.
"""

from absl import flags

from trainers import cli
from trainers.presets import PRESETS


def main():
    with cli.section("Export"):
        flags.DEFINE_string("workdir", None, "run folder whose best weights are exported")
        flags.DEFINE_string("output", None, "file to write: .safetensors, .pt or .pth")
        flags.DEFINE_enum("format", "authors", ["authors", "fastai"], "names of the weights")
    with cli.section("Import"):
        flags.DEFINE_string("input", None, "file to read: .safetensors, .pt or .pth")
        flags.DEFINE_string("vocabulary", None, "file with the words in the order of the embedding")
        flags.DEFINE_string("output_workdir", None, "run folder to create")
        help = "preset for settings that the weights do not contain, such as dropout"
        flags.DEFINE_enum("preset", "ptb", list(PRESETS), help)
        flags.DEFINE_string("corpus", None, "corpus of the run; default: the preset's")
        flags.DEFINE_string("data_dir", None, "folder of the corpus, as in trainers.ptb")
    cli.main("trainers.commands.convert", __doc__)


if __name__ == "__main__":
    main()
