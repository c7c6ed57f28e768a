"""Rescores n-best lists, such as those of a speech recognizer, with a language model."""

import itertools
import math

from awd_keras.errors import InputError


def rerank(lines, scorer, lm_weight):
    """Sorts each n-best list by a weighted sum of its scores and a model's log-probabilities.

    Lists are streamed: only one list, one block of the scorer and all ids are kept in memory.

    Args:
        lines: Iterable of lines `id ||| text ||| score`: the id of the list (such as the name of an
            utterance), a hypothesis, and its score (such as a log-probability; larger is better).
            Lines with the same id must be adjacent. Blank lines are skipped.
        scorer: A `LineScorer`.
        lm_weight: Weight w of the model, from 0 (only the given scores) to 1 (only the model).

    Yields:
        `(id, text, score)` for each line, with the score `(1 - w) * score + w * log_probability`.
        Lists keep their order; each is sorted from best to worst, with ties in the original order.

    Raises:
        ValueError: If the weight is not in [0, 1].
        InputError: If a line is malformed, or lines with the same id are not adjacent.

    Example:

    >>> from awd_keras.evaluation import LineScore
    >>> class LengthScorer:
    ...     def score(self, texts):
    ...         return (LineScore(-float(len(text)), 1, 0) for text in texts)
    >>> list(rerank(["a ||| the cat ||| -1", "a ||| the ||| -2"], LengthScorer(), lm_weight=0.5))
    [('a', 'the', -2.5), ('a', 'the cat', -4.0)]
    """
    if not 0 <= lm_weight <= 1:
        raise ValueError(f"`lm_weight` must be in [0, 1]. Received: lm_weight={lm_weight}")
    hypotheses, to_score = itertools.tee(_parse(lines))
    scores = scorer.score(text for _, text, _ in to_score)
    pairs = zip(hypotheses, scores, strict=True)
    for id_, group in itertools.groupby(pairs, key=lambda pair: pair[0][0]):
        rescored = []
        for (_, text, score), line_score in group:
            score *= 1 - lm_weight
            if lm_weight:  # 0 * -inf would be NaN
                score += lm_weight * line_score.log_probability
            rescored.append((id_, text, score))
        yield from sorted(rescored, key=lambda hypothesis: hypothesis[2], reverse=True)


def _parse(lines):
    current, finished = None, set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            id_, text, score = (field.strip() for field in line.split("|||"))
            score = float(score)
        except ValueError:
            id_, score = "", math.nan
        if not id_ or not math.isfinite(score):
            raise InputError(
                f"Line {number}: expected id ||| text ||| score, with a finite number as the "
                f"score. Received: {line.strip()[:200]!r}"
            )
        if id_ != current:
            finished.add(current)
            current = id_
        if id_ in finished:
            raise InputError(
                f"Line {number}: lines with the same id must be adjacent, but {id_!r} occurs again "
                "after other ids. Sort the file by id first."
            )
        yield id_, text, score
