"""Rescores n-best lists, such as those of a speech recognizer, with a language model."""

import itertools
import math
import re
from typing import NamedTuple

from awd_keras.errors import InputError

_NAME = re.compile(r"\S=(\s|$)")  # of a feature


class Hypothesis(NamedTuple):
    """A hypothesis of the list `id`, and its `line` with the new score and feature."""

    id: str
    text: str
    score: float
    line: str


def rerank(lines, scorer, lm_weight=None, unk_penalty=0.0, word_bonus=0.0, log_base=math.e):
    """Sorts each n-best list by a weighted sum of its scores and those of a model.

    The score of the model is `log_probability - unk_penalty * num_unknown + word_bonus *
    num_words`, converted to the base of the logarithm. Lists are streamed: only one list, one block
    of the scorer and all ids are kept in memory.

    Args:
        lines: Iterable of lines `id ||| text ||| score`: the id of the list (such as the name of an
            utterance), a hypothesis, and its score (such as a log-probability; larger is better).
            Or lines `id ||| text ||| features ||| score` of Moses and Marian, possibly with other
            fields, which are kept; the features are those with names, or else the third field.
            The score of the model is one more feature, `AWDLSTM0= score`. Lines with the same id
            must be adjacent. Blank lines are skipped.
        scorer: A `LineScorer`.
        lm_weight: Weight w of the model, from 0 (only the given scores) to 1 (only the model).
            Defaults to 0.5 for lines without features. With features, it defaults to `None`: scores
            and order are unchanged.
        unk_penalty: Penalty for each unknown word, in nats. Defaults to 0.
        word_bonus: Bonus for each word, in nats. Defaults to 0.
        log_base: Base of the logarithms in the scores. Defaults to e.

    Yields:
        A `Hypothesis` for each line, with the score `(1 - w) * score + w * model_score`. Lists keep
        their order; each is sorted from best to worst, with ties in the original order.

    Raises:
        ValueError: If the weight is not in [0, 1].
        InputError: If a line is malformed, or lines with the same id are not adjacent.

    Example:

    >>> from awd_keras.evaluation import LineScore
    >>> class LengthScorer:
    ...     def score(self, texts):
    ...         return (LineScore(-float(len(text)), 1, 0) for text in texts)
    >>> lines = ["a ||| the cat ||| -1", "a ||| the ||| -2"]
    >>> [hypothesis.line for hypothesis in rerank(lines, LengthScorer(), lm_weight=0.5)]
    ['a ||| the ||| -2.500000', 'a ||| the cat ||| -4.000000']
    >>> [hypothesis.line for hypothesis in rerank(["a ||| the ||| TM= -1 ||| -1"], LengthScorer())]
    ['a ||| the ||| TM= -1 AWDLSTM0= -3.000000 ||| -1']
    """
    if lm_weight is not None and not 0 <= lm_weight <= 1:
        raise ValueError(f"`lm_weight` must be in [0, 1]. Received: lm_weight={lm_weight}")
    for group in scored_lists(lines, scorer):
        has_features = group[0][0][-1] is not None
        weight = 0.5 if lm_weight is None and not has_features else lm_weight
        rescored = []
        for (id_, text, score, fields, features), line_score in group:
            added = model_score(line_score, unk_penalty, word_bonus, log_base)
            if features is not None:
                fields[features] = _add_feature(fields[features], added)
            if weight is not None:
                score *= 1 - weight
                if weight:  # 0 * -inf would be NaN
                    score += weight * added
                fields[2 if features is None else features + 1] = f"{score:.6f}"
            rescored.append(Hypothesis(id_, text, score, " ||| ".join(fields)))
        if weight is not None:
            rescored.sort(key=lambda hypothesis: hypothesis.score, reverse=True)
        yield from rescored


def model_score(line_score, unk_penalty, word_bonus, log_base=math.e):
    """Returns the log-probability of a `LineScore`, with its penalty and bonus, in a base."""
    num_words = line_score.num_tokens - 1
    score = line_score.log_probability - unk_penalty * line_score.num_unknown
    return (score + word_bonus * num_words) / math.log(log_base)


def scored_lists(lines, scorer):
    """Yields a list of `((id, text, score, fields, features), LineScore)` for each n-best list.

    Here, `features` is the index of the field with the features, or `None`.
    """
    hypotheses, to_score = itertools.tee(_parse(lines))
    scores = scorer.score(text for _, text, *_ in to_score)
    pairs = zip(hypotheses, scores, strict=True)
    for _, group in itertools.groupby(pairs, key=lambda pair: pair[0][0]):
        yield list(group)


def _add_feature(features, value):
    number = next(n for n in itertools.count() if f"AWDLSTM{n}=" not in features)
    return f"{features} AWDLSTM{number}= {value:.6f}".lstrip()


def _parse(lines):
    current, finished = None, set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("|||")]
        features = None
        if len(fields) > 3:  # Marian has alignments before the features, Moses after the score
            middle = enumerate(fields[2:-1], start=2)
            features = next((index for index, field in middle if _NAME.search(field)), 2)
        try:
            id_, text, score = *fields[:2], float(fields[2 if features is None else features + 1])
        except (ValueError, IndexError):
            id_, score = "", math.nan
        if not id_ or not math.isfinite(score):
            raise InputError(
                f"Line {number}: expected id ||| text ||| score, or id ||| text ||| features ||| "
                f"score, with a finite number as the score. Received: {line.strip()[:200]!r}"
            )
        if id_ != current:
            finished.add(current)
            current = id_
        if id_ in finished:
            raise InputError(
                f"Line {number}: lines with the same id must be adjacent, but {id_!r} occurs again "
                "after other ids. Sort the file by id first."
            )
        yield id_, text, score, fields, features
