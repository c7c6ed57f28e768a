"""Writes an HTML report on trained runs: settings, results, and the words with the highest loss.

  python -m trainers.report --workdir=runs/ptb
  python -m trainers.report --workdir=runs/ptb --workdir=runs/other --output=both.html

The report is a single self-contained file. It shows all available perplexities (of the run, of runs
fine-tuned from it, from trainers.evaluate), curves, samples, the words with the highest loss, the
largest gains and losses from the continuous cache, and the configuration. The tables of words are
computed on the first --max_tokens tokens of the validation text. The runs are not changed.
"""

from absl import flags

from trainers import cli


def main():
    flags.DEFINE_multi_string("workdir", [], "run folder (required)")
    flags.DEFINE_string("output", None, "file to write; default: report.html in the first run")
    flags.DEFINE_string("data_dir", None, "folder of the corpus, if it has moved since training")
    help = "use the first N tokens of the validation text; 0 or 1: omit the tables of words"
    flags.DEFINE_integer("max_tokens", 20_000, help, lower_bound=0)
    flags.DEFINE_integer("num_words", 20, "rows of each table of words", lower_bound=1)
    help = "omit words that occur less often from the table of mean losses"
    flags.DEFINE_integer("min_count", 5, help, lower_bound=1)
    flags.DEFINE_integer("num_samples", 3, "texts to sample from each run", lower_bound=0)
    flags.DEFINE_integer("max_words", 60, "maximum number of words per sample", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "random seed for the samples", 0, 2**62 - 1)
    cli.main("trainers.commands.report", __doc__)


if __name__ == "__main__":
    main()
