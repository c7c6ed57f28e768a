"""Trains AWD-LSTM on Penn Treebank, or on another corpus, and prints its perplexities.

  python -m trainers.ptb --data_dir=FOLDER      the paper's run, on {train,valid,test}.txt
  python -m trainers.ptb                        the same, TensorFlow Datasets prepares the text
  python -m trainers.ptb --preset=ptb_small     two small layers, for a CPU
  python -m trainers.ptb --preset=demo          minutes, on the bundled State of the Union messages
  python -m trainers.ptb --corpus=text --data_dir=FOLDER --max_vocabulary_size=20000

The same command again continues a run that was stopped, bit for bit. Defaults below are the
paper's; --preset changes them, flags change the preset, --flagfile=FILE reads flags from a file.
"""

from trainers import cli, config_flags


def main():
    config_flags.define_training_flags("ptb")
    cli.main("trainers.commands.train", __doc__)


if __name__ == "__main__":
    main()
