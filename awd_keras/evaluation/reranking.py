"""N-best lists, such as a recognizer's, sorted anew with the help of a language model."""

import collections
import dataclasses
import itertools
import math

from awd_keras.errors import InputError


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A line of an n-best list: `id ||| text ||| score`.

    Args:
        id: what it is a hypothesis of.
        text: its words.
        score: its score, the larger the better, such as a recognizer's log-probability.

    Example:

    >>> hypothesis = Hypothesis.parse("7 ||| the cat ||| -3.5", line_number=1)
    >>> hypothesis.score, str(hypothesis)
    (-3.5, '7 ||| the cat ||| -3.500000')
    """

    id: str
    text: str
    score: float

    @classmethod
    def parse(cls, line, line_number):
        """Reads a line.

        Raises:
            InputError: if it is None or has another form; `line_number` is in the message.
        """
        expected = "Expected: id ||| text ||| score, the score a finite number."
        if line is None:
            raise InputError(f"Line {line_number} is not UTF-8. {expected}")
        fields = [field.strip() for field in line.split("|||")]
        try:
            identifier, text, score = fields
            score = float(score)
        except ValueError:
            score = math.nan
        if not math.isfinite(score) or not identifier:
            raise InputError(f"Line {line_number}: {expected} Received: {line.strip()[:200]!r}")
        return cls(identifier, text, score)

    def __str__(self):
        return f"{self.id} ||| {self.text} ||| {self.score:.6f}"


def rerank(lines, scorer, lm_weight, on_bad_line=None):
    """Sorts each n-best list by the sum of its scores and a model's log-probabilities.

    What is held is a list, the scorer's block of lines, and the ids, to know one that comes back.

    Args:
        lines: iterable of lines `id ||| text ||| score`; those of an id follow one another.
        scorer: a `LineScorer`.
        lm_weight: w, from 0 (the scores as they are) to 1 (the model alone).
        on_bad_line: None, or a function of the number of a line and the `InputError` that says
            what is wrong with it; the line is left out then.

    Yields:
        a `Hypothesis` for each line, with the score `(1 - w) * score + w * log_probability`, the
        best of each id first, equal ones in their order; the ids in their order.

    Raises:
        InputError: if the weight is not in [0, 1].
        InputError: without `on_bad_line`, for a line of another form, or an id that comes back
            after another one. The message has the number of the line.

    Example:

    >>> from awd_keras.evaluation.scoring import LineScore
    >>> class Shorter:
    ...     def score(self, texts):
    ...         return (LineScore(-float(len(text)), 1, 0) for text in texts)
    >>> for best in rerank(["a ||| the cat ||| -1", "a ||| the ||| -2"], Shorter(), 0.5):
    ...     print(best)
    a ||| the ||| -2.500000
    a ||| the cat ||| -4.000000
    """
    if not 0 <= lm_weight <= 1:
        raise InputError(f"lm_weight must be in [0, 1]. Received: {lm_weight}")
    read_ahead = collections.deque()

    def texts():
        for hypothesis in _parsed(lines, on_bad_line):
            read_ahead.append(hypothesis)
            yield hypothesis.text

    def rescored():
        for score in scorer.score(texts()):
            hypothesis, total = read_ahead.popleft(), 0.0
            # Not 0 * inf, which is no number.
            if lm_weight < 1:
                total += (1 - lm_weight) * hypothesis.score
            if lm_weight > 0:
                total += lm_weight * score.log_probability
            yield dataclasses.replace(hypothesis, score=total)

    for _, hypotheses in itertools.groupby(rescored(), key=lambda hypothesis: hypothesis.id):
        yield from sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)


def _parsed(lines, on_bad_line):
    """Parses lines and looks that each id has one place."""
    current, done = None, set()
    for number, line in enumerate(lines, start=1):
        try:
            hypothesis = Hypothesis.parse(line, number)
            if hypothesis.id in done:
                raise InputError(
                    f"Line {number}: the id {hypothesis.id!r} comes back after another one. The "
                    "lines of an id must follow one another: sort the file by its ids first."
                )
        except InputError as error:
            if on_bad_line is None:
                raise
            on_bad_line(number, error)
            continue
        if hypothesis.id != current:
            done.add(current)
            current = hypothesis.id
        yield hypothesis
