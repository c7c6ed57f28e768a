"""Writes an HTML page about trained runs: settings, results, and the words that cost most.

  python -m trainers.report --workdir=runs/ptb
  python -m trainers.report --workdir=runs/ptb --workdir=runs/other --output=both.html

The page is one self-contained file. It shows the perplexities of every stage found (of the run, of
runs fine-tuned from it, of trainers.evaluate), curves, samples, the hardest words, those that gain
and lose most by the continuous cache, and the configuration. The tables of words need the first
--max_tokens of the validation text. The runs are not changed.
"""

from absl import flags

from trainers import cli


def main():
    flags.DEFINE_multi_string("workdir", [], "run folder (required); repeat it for more runs")
    flags.DEFINE_string("output", None, "page to write; default: report.html in the first run")
    flags.DEFINE_string("data_dir", None, "folder of the corpus, if it has moved since training")
    flags.DEFINE_integer(
        "max_tokens",
        20_000,
        "read the first N tokens of the validation text; 0: leave out the tables of words",
        lower_bound=0,
    )
    flags.DEFINE_integer("num_words", 20, "rows of each table of words", lower_bound=1)
    flags.DEFINE_integer(
        "min_count",
        5,
        "leave words that occur less often out of the table of the hardest words",
        lower_bound=1,
    )
    flags.DEFINE_integer("num_samples", 3, "texts to sample from each run", lower_bound=0)
    flags.DEFINE_integer("max_words", 60, "largest number of words of a sample", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "random seed of the samples", lower_bound=0)
    cli.main("trainers.commands.report", __doc__)


if __name__ == "__main__":
    main()
