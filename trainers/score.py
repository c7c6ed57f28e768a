"""Scores the lines of a text, or sorts n-best lists, with a trained model.

  python -m trainers.score --workdir=runs/ptb FILE > SCORES.tsv
  ... | python -m trainers.score --workdir=runs/ptb --text
  python -m trainers.score --workdir=runs/ptb --nbest --lm_weight=0.3 LISTS > SORTED

The text is read from FILE, or from standard input if FILE is omitted or "-". Prints a row for each
line, with these columns separated by tabs:

  log_probability   natural logarithm of the probability of the line
  num_tokens        number of predicted tokens: the words of the line and the <eos> at its end;
                    the perplexity of the line is exp(-log_probability / num_tokens)
  num_unknown       number of words that are not in the vocabulary and are scored as <unk>
  text              with --text: the line itself, with tabs replaced by spaces

A line is scored like the first line of a text: from a zero state, after an <eos>. An empty line has
the score of its <eos>. Words that are not valid UTF-8 are unknown words.

With --nbest, the lines have the form "id ||| text ||| score", and lines with the same id are
adjacent. They are printed in the same form with (1 - w) * score + w * log_probability as the score,
where w is --lm_weight, and the lines of an id are sorted from best to worst.

Texts of any length are streamed: --block_lines lines are in memory at a time and, with --nbest, one
list and all ids. Without --workdir, the small model that comes with the package is used.
"""

from absl import flags

from trainers import cli


def main():
    flags.DEFINE_string("workdir", None, "run folder; default: the bundled model")
    flags.DEFINE_bool("nbest", False, "sort n-best lists")
    flags.DEFINE_float(
        "lm_weight", 0.5, "weight of the model with --nbest", lower_bound=0, upper_bound=1
    )
    flags.DEFINE_bool("text", False, "also print the line itself")
    flags.DEFINE_string("output", None, "file to write; default: standard output")
    flags.DEFINE_integer("batch_size", 128, "number of lines to score at once", lower_bound=1)
    flags.DEFINE_integer(
        "block_lines",
        8192,
        "lines to read ahead and sort by length; 1: score each line as soon as it is read",
        lower_bound=1,
    )
    dtypes = ["float32", "bfloat16"]
    flags.DEFINE_enum("dtype", None, dtypes, "matmul precision; default: the run's")
    cli.main("trainers.commands.score", __doc__, max_arguments=1)


if __name__ == "__main__":
    main()
