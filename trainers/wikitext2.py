"""Trains an AWD-LSTM on WikiText-2 and prints its perplexities.

  python -m trainers.wikitext2 --data_dir=FOLDER    wiki.{train,valid,test}.tokens or *.txt
  python -m trainers.wikitext2                      the same text from TensorFlow Datasets

Run the same command again to resume an interrupted run, bit for bit. The defaults below are the
paper's; --preset changes them, and flags override the preset.
"""

from trainers import cli, config_flags


def main():
    config_flags.define_training_flags("wikitext2")
    cli.main("trainers.commands.train", __doc__, check=config_flags.config_from_flags)


if __name__ == "__main__":
    main()
