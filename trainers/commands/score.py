"""Scores the lines or the words of a text, or sorts n-best lists, with a trained model."""

import contextlib
import itertools
import math
import sys

from absl import flags

from awd_keras.atomic_write import atomic_write
from awd_keras.bundled_model import describe_bundled_model
from awd_keras.data.text_files import decoded_lines, read_lines, warn_of_marks
from awd_keras.evaluation import LineScorer, perplexity, rerank, tune_weights
from trainers.training import factory

FLAGS = flags.FLAGS
# Bytes that are not UTF-8 pass through unchanged, as parts of unknown words.
_OUTPUT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
_LOG_BASES = {"e": math.e, "2": 2, "10": 10}


def main(path="-"):
    with contextlib.ExitStack() as stack:
        # Open the files before loading the model, so that a wrong name is reported early.
        file = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
        name = "The standard input" if path == "-" else path
        references = read_lines(FLAGS.tune_weights) if FLAGS.tune_weights else None
        if FLAGS.output in (None, "-"):
            sys.stdout.reconfigure(line_buffering=True, **_OUTPUT)
            output = sys.stdout
        else:
            output = stack.enter_context(atomic_write(FLAGS.output, **_OUTPUT))
        model, vocabulary, _ = factory.load_model(FLAGS.workdir, FLAGS.dtype)
        if FLAGS.workdir is None:
            print(describe_bundled_model(), file=sys.stderr)
        scorer = LineScorer(
            model, vocabulary, FLAGS.batch_size, FLAGS.block_lines, FLAGS.carry_state
        )
        lines = decoded_lines(file, name, errors="surrogateescape")
        lines = warn_of_marks(lines, name, vocabulary.tokenizer)
        if references is not None:
            _tune(lines, scorer, references, output)
        elif FLAGS.nbest:
            weights = FLAGS.lm_weight, FLAGS.unk_penalty, FLAGS.word_bonus
            for hypothesis in rerank(lines, scorer, *weights, _LOG_BASES[FLAGS.log_base]):
                print(hypothesis.line, file=output)
        else:
            write = _write_tokens if FLAGS.per_token else _write_scores
            write(_parse(lines), scorer, vocabulary.tokenizer, output)


def _parse(lines):
    """Yields `(key, text)` for each line; the key is its number unless it has one."""
    for number, line in enumerate(lines, 1):
        if FLAGS.first_column_is_key:
            key, *texts = line.split(maxsplit=1) or [""]
            yield key, "".join(texts)
        else:
            yield number, line


def _write_scores(lines, scorer, _tokenizer, output):
    lines, to_score = itertools.tee(lines)
    base = math.log(_LOG_BASES[FLAGS.log_base])
    log_probability, num_tokens, num_unknown = 0.0, 0, 0
    for (key, text), score in zip(lines, scorer.score(text for _, text in to_score), strict=True):
        row = [f"{score.log_probability / base:.6f}", score.num_tokens, score.num_unknown]
        if FLAGS.first_column_is_key:
            row.insert(0, key)
        if FLAGS.text:
            row.append(text.replace("\t", " "))
        print(*row, sep="\t", file=output)
        log_probability += score.log_probability
        num_tokens += score.num_tokens
        num_unknown += score.num_unknown
    if num_tokens:
        print(
            f"{num_tokens:,} tokens, {num_unknown:,} unknown words, perplexity "
            f"{perplexity(-log_probability / num_tokens):.2f}",
            file=sys.stderr,
        )


def _write_tokens(lines, scorer, tokenizer, output):
    lines, to_score = itertools.tee(lines)
    base = math.log(_LOG_BASES[FLAGS.log_base])
    print("sentence", "position", "word", "log_probability", sep="\t", file=output)
    scores = scorer.score_tokens(text for _, text in to_score)
    for (key, text), line_scores in zip(lines, scores, strict=True):
        words = itertools.chain(tokenizer.split(text), ["<eos>"])
        for position, (word, score) in enumerate(zip(words, line_scores, strict=True), 1):
            word = word.replace("\t", " ")
            print(key, position, word, f"{score / base:.6f}", sep="\t", file=output)


def _tune(lines, scorer, references, output):
    tuned = tune_weights(lines, scorer, references, _LOG_BASES[FLAGS.log_base])
    weights = tuned.lm_weight, tuned.word_bonus, tuned.unk_penalty
    print("--lm_weight={:g} --word_bonus={:g} --unk_penalty={:g}".format(*weights), file=output)
    before, after = (
        f"{100 * errors / tuned.num_words:.2f}% ({errors:,} of {tuned.num_words:,})"
        for errors in (tuned.num_errors_before, tuned.num_errors)
    )
    print(f"word errors {after} with these weights, {before} with --lm_weight=0", file=sys.stderr)
