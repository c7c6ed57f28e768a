"""Scores each line of a text, and sorts n-best lists, by a trained run.

  python -m trainers.score --workdir=runs/ptb FILE > SCORES.tsv
  ... | python -m trainers.score --workdir=runs/ptb --text
  python -m trainers.score --workdir=runs/ptb --nbest --lm_weight=0.3 LISTS > SORTED

Without --workdir the small model that comes with the package scores. The text is FILE, or standard
input without one or with -. Each line gives a row, in the order of the text, with tabs between:

  log_probability   natural logarithm of the line's probability
  num_words         words predicted: those of the line and the <eos> at its end, so that
                    exp(-log_probability / num_words) is the perplexity of the line
  num_unknown       words outside the vocabulary, scored as <unk>
  the line itself   with --text

A line is scored as if the text began with it: from a zero state, after the <eos> that ends the line
before it. An empty line and one that is not UTF-8 have no score: their row is nan, 0, 0, and their
numbers are reported at the end.

With --nbest the lines are `id ||| text ||| score`, those of an id together. They are written in the
same form with (1 - w) * score + w * log_probability as their score, w the --lm_weight, the best of
each id first. A line of another form, an empty one and one whose id comes back after another id are
left out, and their numbers reported at the end.

Text of any length streams through the memory of --block_lines lines; --nbest also holds one list,
and the ids of all.

Where lines were left out, or not UTF-8, the exit code is 1; the others are written all the same.
"""

import collections
import contextlib
import sys

from absl import flags

from awd_keras.atomic_write import atomic_write
from awd_keras.errors import InputError
from trainers import command
from trainers.errors import UserError

FLAGS = flags.FLAGS
_SHOWN = 20
_NO_SCORE = "nan\t0\t0"


def main():
    flags.DEFINE_string(
        "workdir", None, "run folder; default: the small model that comes with the package"
    )
    flags.DEFINE_bool("nbest", False, "sort n-best lists")
    flags.DEFINE_float("lm_weight", 0.5, "with --nbest: weight of the model, from 0 to 1")
    flags.DEFINE_bool("text", False, "write the line itself too, its tabs as spaces")
    flags.DEFINE_string("output", None, "file to write; default: standard output")
    flags.DEFINE_integer("batch_size", 128, "lines scored at once")
    flags.DEFINE_integer(
        "block_lines", 8192, "lines read at once, sorted by length; 1 answers each line at once"
    )
    flags.DEFINE_enum(
        "dtype", None, ["float32", "bfloat16"], "precision of the products; default: the run's"
    )
    command.main(_score, max_arguments=1)


def _score(path="-"):
    from awd_keras.evaluation import LineScorer, decoded_lines
    from trainers.training import bundled

    _check_flags()
    if FLAGS.output:
        command.check_writable(FLAGS.output)
    with contextlib.ExitStack() as stack:
        # Before the model is loaded, which takes a while.
        stream = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
        model, vocabulary, _ = bundled.load_model(FLAGS.workdir, FLAGS.dtype)
        if FLAGS.workdir is None:
            print(bundled.describe(), file=sys.stderr)
        scorer = LineScorer(model, vocabulary, FLAGS.batch_size, FLAGS.block_lines)
        write = _write_sorted if FLAGS.nbest else _write_scores
        with _output() as file:
            end = write(decoded_lines(stream), scorer, file)
        end()


def _check_flags():
    if FLAGS.workdir == "":
        raise UserError("--workdir must be the folder of a trained run. Received: nothing")
    if not 0 <= FLAGS.lm_weight <= 1:
        raise UserError(f"lm_weight must be in [0, 1]. Received: {FLAGS.lm_weight}")
    if FLAGS["lm_weight"].present and not FLAGS.nbest:
        raise UserError("--lm_weight needs --nbest.")
    if FLAGS.text and FLAGS.nbest:
        raise UserError("--text does not go with --nbest, which writes the text anyway.")


@contextlib.contextmanager
def _output():
    """Standard output, or a file that is written beside its place and renamed at the end."""
    if not FLAGS.output:
        sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    with atomic_write(FLAGS.output, encoding="utf-8", newline="\n") as file:
        yield file


def _write_sorted(lines, scorer, file):
    from awd_keras.evaluation import rerank

    bad, reasons = _LineNumbers(), []

    def leave_out(number, error):
        bad.add(number)
        # The first stands for all: a file may have millions of them.
        if not reasons:
            reasons.append(error)

    for hypothesis in rerank(lines, scorer, FLAGS.lm_weight, leave_out):
        print(hypothesis, file=file)

    def report():
        if bad.count:
            raise InputError(f"{bad} left out, the others are sorted. {reasons[0]}")

    return report


def _write_scores(lines, scorer, file):
    read_ahead = collections.deque()
    empty, undecodable = _LineNumbers(), _LineNumbers()
    num_words, num_unknown, total = 0, 0, 0.0

    def scorable_lines():
        for number, line in enumerate(lines, start=1):
            read_ahead.append(line)
            if line is None:
                undecodable.add(number)
            elif not line.strip():
                empty.add(number)
            yield line if line and line.strip() else None

    for score in scorer.score(scorable_lines()):
        line = read_ahead.popleft()
        row = _NO_SCORE
        if score is not None:
            row = f"{score.log_probability:.6f}\t{score.num_words}\t{score.num_unknown}"
            num_words += score.num_words
            num_unknown += score.num_unknown
            total += score.log_probability
        if FLAGS.text:
            row += "\t" + (line or "").replace("\t", " ")
        print(row, file=file, flush=not read_ahead)

    def report():
        from awd_keras.evaluation import perplexity

        if num_words:
            value = perplexity(-total / num_words)
            print(
                f"{num_words:,} words, {num_unknown:,} of them unknown: perplexity {value:.2f}",
                file=sys.stderr,
            )
        if empty.count:
            print(f"warning: {empty} empty, without a score", file=sys.stderr)
        if undecodable.count:
            raise InputError(f"{undecodable} not UTF-8, without a score; the others have theirs")

    return report


class _LineNumbers:
    """How many lines something happened to, and which came first."""

    def __init__(self):
        self.count = 0
        self._first = []

    def add(self, number):
        self.count += 1
        if len(self._first) < _SHOWN:
            self._first.append(number)

    def __str__(self):
        numbers = ", ".join(map(str, self._first))
        rest = f" and {self.count - _SHOWN:,} more" if self.count > _SHOWN else ""
        return f"line {numbers} is" if self.count == 1 else f"lines {numbers}{rest} are"


if __name__ == "__main__":
    main()
