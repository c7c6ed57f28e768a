"""Trains AWD-LSTM on WikiText-2 and prints its perplexities.

  python -m trainers.wikitext2 --data_dir=FOLDER    wiki.{train,valid,test}.tokens or *.txt
  python -m trainers.wikitext2                      TensorFlow Datasets prepares the text

The same command again continues a run that was stopped, bit for bit. Defaults below are the
paper's; --preset changes them, flags change the preset, --flagfile=FILE reads flags from a file.
"""

from trainers import cli, config_flags


def main():
    config_flags.define_training_flags("wikitext2")
    cli.main("trainers.commands.train", __doc__)


if __name__ == "__main__":
    main()
