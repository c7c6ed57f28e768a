"""The command of `serving.client`: texts from arguments or standard input, answers line by line."""

import functools
import itertools
import re
import sys

from absl import flags

from serving.status import StatusError
from serving.suggestions import LineSuggestions, StepSuggestions
from trainers import old_cli as command
from trainers.start_up import start_tensorflow

FLAGS = flags.FLAGS
# Flags defined here belong to the command that calls: its --help shows them.
flags.disclaim_key_flags()
# How the graph says what is wrong with a row, and which.
_ROW = re.compile(r"(?:failed: \[)?([^\[\]]*?)\. Row:\] \[\d*\](?: \[Received:\] \[(.*?)\])?")
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
    flags.DEFINE_integer(
        "max_attempts",
        None,
        "attempts while the server is unavailable; default: until --deadline",
        1,
    )
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
    command.main(functools.partial(_main, connect), None, _errors, tensorflow=False)


def _errors():
    return dict.fromkeys((StatusError, ValueError), command.EXIT_BAD_INPUT)


def _main(connect, action=None, *texts):
    actions = {"score": _score, "next": _next, "generate": _generate}
    if action not in actions:
        raise ValueError(f"expected one of {', '.join(actions)}. Received: {action}. See --help.")
    sys.stdout.reconfigure(encoding="utf-8")
    if FLAGS.server.partition("://")[0] not in ("http", "https"):
        start_tensorflow()
    with connect(
        FLAGS.server,
        FLAGS.model_name,
        FLAGS.version,
        FLAGS.label,
        FLAGS.deadline,
        FLAGS.max_attempts,
        FLAGS.certificate,
        _waiting(),
    ) as client:
        return actions[action](client, texts)


def _waiting():
    """Says at a terminal, once, why nothing happens."""
    told = []

    def tell():
        if not told and sys.stderr.isatty():
            print(
                f"no answer from {FLAGS.server} yet; trying for {FLAGS.deadline:g} seconds ...",
                file=sys.stderr,
            )
        told.append(True)

    return tell


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
    bad, refused = [], {}
    numbered = enumerate(_lines(texts), start=1)
    while block := list(itertools.islice(numbered, FLAGS.batch_size)):
        good = [text for _, text in block if text is not None]
        scores = iter(_scores(client, good))
        for number, text in block:
            row = _NO_SCORE
            if text is None:
                bad.append(number)
            elif isinstance(score := next(scores), StatusError):
                refused[number] = _of_one_row(score.message)
            else:
                row = _row(score)
            if FLAGS.text:
                row += "\t" + (text or "").replace("\t", " ")
            print(row)
        sys.stdout.flush()
    _check_answered(bad, refused)


def _scores(client, texts):
    """A `Score` of each text, or the `StatusError` of one that the server refuses.

    A request is refused as a whole. The row that it names may be one of a batch that the server
    made of several requests; so the halves are asked.
    """
    try:
        return client.score(texts)
    except StatusError as error:
        if error.code != "INVALID_ARGUMENT" or not _ROW.search(error.message):
            raise
        if len(texts) == 1:
            return [error]
    middle = len(texts) // 2
    return [*_scores(client, texts[:middle]), *_scores(client, texts[middle:])]


def _of_one_row(message):
    """What is said of a row, without its number in a request that nobody but us has seen.

    Example:

    >>> _of_one_row("assertion failed: [`k` must be from 1 to 3. Row:] [0] [Received:] [9]")
    '`k` must be from 1 to 3, received 9'
    """
    said, received = _ROW.search(message).groups()
    return said if received is None else f"{said}, received {received}"


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
    _check_answered(bad)


def _check_answered(not_utf8, refused=()):
    """An error for texts without an answer: numbers of those, and why each of the others."""
    faults = []
    if not_utf8:
        faults.append(f"not UTF-8, without an answer: text {_shown(not_utf8)}")
    if refused:
        first = next(iter(refused))
        faults.append(
            f"refused, without an answer: text {_shown(list(refused))} (text {first}: "
            f"{refused[first]})"
        )
    if faults:
        raise ValueError(f"{'; '.join(faults)}. The others have theirs.")


def _shown(numbers):
    return ", ".join(map(str, numbers[:20])) + (" and more" if len(numbers) > 20 else "")


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
