"""Scores the lines of a text, or sorts n-best lists, with a trained model."""

import contextlib
import itertools
import sys

from absl import flags

from awd_keras.atomic_write import atomic_write
from awd_keras.bundled_model import describe_bundled_model
from awd_keras.evaluation import LineScorer, perplexity, rerank
from trainers.errors import UserError
from trainers.training import factory

FLAGS = flags.FLAGS
# Bytes that are not UTF-8 pass through unchanged, as parts of unknown words.
_OUTPUT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
_INPUT = {**_OUTPUT, "encoding": "utf-8-sig"}  # skips a byte order mark


def main(path="-"):
    if FLAGS["lm_weight"].present and not FLAGS.nbest:
        raise UserError("--lm_weight has no effect without --nbest.")
    if FLAGS.text and FLAGS.nbest:
        raise UserError("--text has no effect with --nbest, which always prints the text.")
    with contextlib.ExitStack() as stack:
        # Open the files before loading the model, so that a wrong name is reported early.
        if path == "-":
            stream = sys.stdin
            stream.reconfigure(**_INPUT)
        else:
            stream = stack.enter_context(open(path, **_INPUT))
        lines = (line.rstrip("\r\n") for line in stream)
        if FLAGS.output in (None, "-"):
            sys.stdout.reconfigure(line_buffering=True, **_OUTPUT)
            output = sys.stdout
        else:
            output = stack.enter_context(atomic_write(FLAGS.output, **_OUTPUT))
        model, vocabulary, _ = factory.load_model(FLAGS.workdir, FLAGS.dtype)
        if FLAGS.workdir is None:
            print(describe_bundled_model(), file=sys.stderr)
        scorer = LineScorer(model, vocabulary, FLAGS.batch_size, FLAGS.block_lines)
        if FLAGS.nbest:
            for id_, text, score in rerank(lines, scorer, FLAGS.lm_weight):
                print(f"{id_} ||| {text} ||| {score:.6f}", file=output)
        else:
            _write_scores(lines, scorer, output)


def _write_scores(lines, scorer, output):
    lines, texts = itertools.tee(lines)
    log_probability, num_tokens, num_unknown = 0.0, 0, 0
    for line, score in zip(lines, scorer.score(texts), strict=True):
        row = f"{score.log_probability:.6f}\t{score.num_tokens}\t{score.num_unknown}"
        print(row + "\t" + line.replace("\t", " ") if FLAGS.text else row, file=output)
        log_probability += score.log_probability
        num_tokens += score.num_tokens
        num_unknown += score.num_unknown
    if num_tokens:
        print(
            f"{num_tokens:,} tokens, {num_unknown:,} unknown words, perplexity "
            f"{perplexity(-log_probability / num_tokens):.2f}",
            file=sys.stderr,
        )
