"""Scores the lines or the words of a text, or sorts n-best lists, with a trained model.

  python -m trainers.score --workdir=runs/ptb FILE > SCORES.tsv
  ... | python -m trainers.score --workdir=runs/ptb --text
  python -m trainers.score --workdir=runs/ptb --per_token --log_base=2 FILE > SURPRISALS.tsv
  python -m trainers.score --workdir=runs/ptb --nbest --lm_weight=0.3 LISTS > SORTED

The text is read from FILE, or from standard input if FILE is omitted or "-". Prints a row for each
line, with these columns separated by tabs:

  key               with --first_column_is_key: the first word of the line, which is not scored
  log_probability   logarithm of the probability of the line
  num_tokens        number of predicted tokens: the words of the line and the <eos> at its end;
                    the perplexity of the line is exp(-log_probability / num_tokens)
  num_unknown       number of words that are not in the vocabulary and are scored as <unk>
  text              with --text: the line itself, with tabs replaced by spaces

With --per_token, prints a header and a row for each word and the <eos> of each line: the sentence
(the number of the line, or its key), the position (both from 1), the word and its log_probability.

A line is scored like the first line of a text: from a zero state, after an <eos>. With
--carry_state, each line continues from the previous line. An empty line has the score of its <eos>.
Words that are not valid UTF-8 are unknown words.

With --nbest, lines with the same id are adjacent and have one of these forms:

  id ||| text ||| score               The score becomes (1 - w) * score + w * model_score, where w
                                      is --lm_weight, and the lines of an id are sorted from best
                                      to worst.
  id ||| text ||| features ||| score  As in Moses and Marian, possibly with other fields, which are
                                      kept. The feature "AWDLSTM0= model_score" is added. The scores
                                      and the order are kept, unless --lm_weight is given.

The model_score is log_probability - unk_penalty * num_unknown + word_bonus * num_words.

With --tune_weights=REFERENCES, prints the --lm_weight, --word_bonus and --unk_penalty with the
fewest word errors, from a small grid. REFERENCES has a line "id words ..." for each list.

Texts of any length are streamed: --block_lines lines are in memory at a time and, with --nbest, one
list and all ids. Without --workdir, the small model that comes with the package is used.
"""

import math

from absl import flags

from trainers import cli
from trainers.errors import UserError

_FLAGS = flags.FLAGS
_ONLY_NBEST = "lm_weight", "unk_penalty", "word_bonus", "tune_weights"
_NOT_NBEST = "text", "per_token", "carry_state", "first_column_is_key"


def main():
    flags.DEFINE_string("workdir", None, "run folder; default: the bundled model")
    flags.DEFINE_bool("text", False, "also print the line itself")
    flags.DEFINE_bool("per_token", False, "print a row for each word")
    flags.DEFINE_bool("carry_state", False, "score the lines as one running text")
    flags.DEFINE_bool("first_column_is_key", False, "lines are id words ..., as in Kaldi")
    flags.DEFINE_enum("log_base", "e", ["e", "2", "10"], "base of all logarithms")
    with cli.section("N-best lists"):
        flags.DEFINE_bool("nbest", False, "sort n-best lists, or add a feature to them")
        flags.DEFINE_float(
            "lm_weight",
            None,
            "weight of the model; default: 0.5 without features",
            lower_bound=0,
            upper_bound=1,
        )
        flags.DEFINE_float("unk_penalty", 0.0, "penalty for each unknown word, in nats")
        flags.DEFINE_float("word_bonus", 0.0, "bonus for each word, in nats")
        flags.DEFINE_string("tune_weights", None, "file with references: find the best weights")
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
    cli.main("trainers.commands.score", __doc__, max_arguments=1, check=_check)


def _check():
    useless = {"--nbest": _NOT_NBEST} if _FLAGS.nbest else {"": _ONLY_NBEST}
    if _FLAGS.tune_weights and _FLAGS.nbest:
        useless["--tune_weights"] = _ONLY_NBEST[:-1]
    if _FLAGS.per_token:
        useless["--per_token"] = ["text"]
    for other, names in useless.items():
        for name in names:
            if _FLAGS[name].present and _FLAGS[name].value is not False:
                where = f"with {other}" if other else "without --nbest"
                raise UserError(f"--{name} has no effect {where}.")
    for name in ("lm_weight", "unk_penalty", "word_bonus"):
        value = _FLAGS[name].value
        if value is not None and not math.isfinite(value):
            raise UserError(f"--{name} must be a finite number. Received: {value}")


if __name__ == "__main__":
    main()
