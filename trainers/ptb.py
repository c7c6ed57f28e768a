"""Trains an AWD-LSTM on Penn Treebank, or another corpus, and prints its perplexities.

  python -m trainers.ptb --data_dir=FOLDER      as in the paper, from {train,valid,test}.txt
  python -m trainers.ptb                        the same text from TensorFlow Datasets
  python -m trainers.ptb --preset=ptb_cpu       two layers, two hours on one CPU core
  python -m trainers.ptb --preset=demo          takes minutes on a CPU, needs no files
  python -m trainers.ptb --corpus=text --data_dir=FOLDER --max_vocabulary_size=20000

Run the same command again to resume an interrupted run, bit for bit. The defaults below are the
paper's; --preset changes them, and flags override the preset.
"""

from trainers import cli, config_flags


def main():
    config_flags.define_training_flags("ptb")
    cli.main("trainers.commands.train", __doc__, check=config_flags.config_from_flags)


if __name__ == "__main__":
    main()
