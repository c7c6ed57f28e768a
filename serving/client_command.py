"""The command of `serving.client`: texts from arguments or standard input, answers line by line."""

import functools
import itertools
import sys

from absl import flags

from serving import command
from serving.status import StatusError
from serving.suggestions import LineSuggestions, StepSuggestions

FLAGS = flags.FLAGS
_NO_SCORE = "nan\t0\t0\tnan"
_HELP = "a line: words that go on; a number: that suggestion; an empty line: a new sentence"


def main(connect):
    """Parses the command line and runs one of `score`, `next` and `generate`.

    Args:
        connect: the class `Client`.
    """
    flags.DEFINE_string("server", "http://localhost:8501", "see above")
    flags.DEFINE_string("model_name", "bundled", "name of the model: that of its folder")
    flags.DEFINE_integer("version", None, "version to be answered by; default: the latest", 0)
    flags.DEFINE_string("label", None, "label of a version, in its place")
    flags.DEFINE_float("deadline", 30.0, "seconds in which each request has to be answered")
    flags.DEFINE_integer("max_attempts", 6, "attempts while the server is unavailable", 1)
    flags.DEFINE_string("certificate", None, "file of certificates to trust, in PEM")
    flags.DEFINE_integer("batch_size", 64, "score: texts sent at once; 1 answers each at once", 1)
    flags.DEFINE_bool("text", False, "score: write the text itself too, its tabs as spaces")
    flags.DEFINE_integer("k", 5, "next: how many suggestions", 1)
    flags.DEFINE_string("vocabulary", None, "next: the model's vocabulary file")
    flags.DEFINE_integer("max_words", 100, "generate: words to write, at most")
    flags.DEFINE_float("temperature", 1.0, "generate: what the logits are divided by")
    flags.DEFINE_integer("top_k", 0, "generate: draw from so many of the likeliest words; 0: all")
    flags.DEFINE_float("top_p", 1.0, "generate: draw from the fewest words that have it together")
    flags.DEFINE_integer("seed", 0, "generate: of the draws")
    command.main(
        functools.partial(_main, connect), max_arguments=None,
        errors=lambda: (StatusError, ValueError), tensorflow=False)  # fmt: skip


def _main(connect, action=None, *texts):
    actions = {"score": _score, "next": _next, "generate": _generate}
    if action not in actions:
        raise ValueError(f"expected one of {', '.join(actions)}. Received: {action}. See --help.")
    sys.stdout.reconfigure(encoding="utf-8")
    if FLAGS.server.partition("://")[0] not in ("http", "https"):
        command.start_tensorflow()
    with connect(
        FLAGS.server, FLAGS.model_name, FLAGS.version, FLAGS.label, FLAGS.deadline,
        FLAGS.max_attempts, FLAGS.certificate) as client:  # fmt: skip
        return actions[action](client, texts)


def _lines(texts):
    """Arguments, or the lines of standard input; None for a line that is not UTF-8."""
    if texts:
        for text in texts:
            yield text if _is_utf8(text) else None
        return
    for line in sys.stdin.buffer:
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield None


def _is_utf8(text):
    return not any(0xDC80 <= ord(letter) <= 0xDCFF for letter in text)


def _score(client, texts):
    bad = []
    numbered = enumerate(_lines(texts), start=1)
    while block := list(itertools.islice(numbered, FLAGS.batch_size)):
        good = [text for _, text in block if text is not None]
        scores = iter(client.score(good))
        for number, text in block:
            row = _NO_SCORE
            if text is None:
                bad.append(number)
            else:
                row = _row(next(scores))
            if FLAGS.text:
                row += "\t" + (text or "").replace("\t", " ")
            print(row)
        sys.stdout.flush()
    _check_utf8(bad)


def _row(score):
    counts = f"{score.num_tokens}\t{score.num_unknown}"
    return f"{score.log_probability:.6f}\t{counts}\t{score.perplexity:.3f}"


def _generate(client, texts):
    prompts = texts or ([""] if sys.stdin.isatty() else ())
    bad = []
    for number, prompt in enumerate(_lines(prompts), start=1):
        if prompt is None:
            bad.append(number)
            continue
        [text] = client.generate(
            [prompt], FLAGS.max_words, FLAGS.temperature, FLAGS.top_k, FLAGS.top_p, FLAGS.seed
        )
        print(text, flush=True)
    _check_utf8(bad)


def _check_utf8(bad):
    if bad:
        shown = ", ".join(map(str, bad[:20])) + (" and more" if len(bad) > 20 else "")
        raise ValueError(f"not UTF-8, without an answer: text {shown}. The others have theirs.")


def _next(client, texts):
    if FLAGS.vocabulary:
        with open(FLAGS.vocabulary, encoding="utf-8") as file:
            suggestions = StepSuggestions(client, file.read().split("\n"))
    else:
        suggestions = LineSuggestions(client)
    interactive = not texts and sys.stdin.isatty()
    if interactive:
        print(_HELP)
    shown = _show(suggestions, interactive)
    for line in _lines(texts):
        if line is None:
            raise ValueError("expected UTF-8.")
        if not line.strip():
            suggestions.begin()
        for word in line.split():
            suggestions.read(_chosen(word, shown) if interactive else word)
        shown = _show(suggestions, interactive)


def _chosen(word, shown):
    """The suggestion of a number, or the word itself."""
    if word.isdigit() and 1 <= int(word) <= len(shown):
        return shown[int(word) - 1][0]
    return word


def _show(suggestions, interactive):
    found = suggestions.best(FLAGS.k)
    if interactive:
        numbered = (f"{n} {word}" for n, (word, _) in enumerate(found, start=1))
        print(f"{' '.join(suggestions.words)} ...  [{'  '.join(numbered)}]\n> ", end="", flush=True)
    else:
        print("\t".join(word for word, _ in found), flush=True)
    return found
