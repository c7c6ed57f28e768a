"""Searches for the weights with which n-best lists are rescored."""

import math
from typing import NamedTuple

import numpy as np

from awd_keras.errors import InputError
from awd_keras.evaluation.reranking import model_score, scored_lists

_LM_WEIGHTS = np.arange(21) / 20
# The simplest values come first, and win ties.
_WORD_BONUSES = 0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 3.0, 4.0
_UNK_PENALTIES = 0.0, 1.0, 2.0, 5.0, 10.0
_IMPOSSIBLE = -1e30  # finite, since 0 * -inf would be NaN


class TunedWeights(NamedTuple):
    """The best arguments of `rerank`, word errors with them and with the given scores alone."""

    lm_weight: float
    word_bonus: float
    unk_penalty: float
    num_errors: int
    num_errors_before: int
    num_words: int


def tune_weights(lines, scorer, references, log_base=math.e):
    """Searches a grid for the weights of `rerank` with the fewest word errors.

    Each hypothesis is scored once. Among equally good weights, the smallest penalty and bonus win,
    and then the middle one of the weights of the model.

    Args:
        lines: Lines of n-best lists, as for `rerank`.
        scorer: A `LineScorer`.
        references: Iterable of lines `id words ...` with the correct words of each list.
        log_base: Base of the logarithms in the scores. Defaults to e.

    Returns:
        The `TunedWeights`.

    Raises:
        InputError: If there are no lists, or a list has no reference.

    Example:

    >>> from awd_keras.evaluation import LineScore
    >>> class LengthScorer:
    ...     def score(self, texts):
    ...         return (LineScore(-float(len(text)), 1, 0) for text in texts)
    >>> lines = ["a ||| the cat ||| -1", "a ||| the ||| -2"]
    >>> tuned = tune_weights(lines, LengthScorer(), ["a the"])
    >>> tuned.num_errors_before, tuned.num_errors
    (1, 0)
    """
    words = {fields[0]: fields[1:] for line in references if (fields := line.split())}
    errors = np.zeros((len(_UNK_PENALTIES), len(_WORD_BONUSES), len(_LM_WEIGHTS)), np.int64)
    num_words = 0
    for group in scored_lists(lines, scorer):
        id_ = group[0][0][0]
        if id_ not in words:
            raise InputError(f"Expected a reference for each list. Received: none for {id_!r}")
        num_words += len(words[id_])
        list_errors = [word_errors(text.split(), words[id_]) for (_, text, *_), _ in group]
        given = np.array([hypothesis[2] for hypothesis, _ in group])
        for penalty, bonus in np.ndindex(errors.shape[:2]):
            arguments = _UNK_PENALTIES[penalty], _WORD_BONUSES[bonus], log_base
            added = np.array([model_score(score, *arguments) for _, score in group])
            weights = _LM_WEIGHTS[:, np.newaxis]
            scores = (1 - weights) * given + weights * np.maximum(added, _IMPOSSIBLE)
            errors[penalty, bonus] += np.array(list_errors)[scores.argmax(axis=1)]
    if not num_words:
        raise InputError("Expected lists with references to tune weights. Received: no words.")
    penalty, bonus, _ = np.argwhere(errors == errors.min())[0]
    ties = np.flatnonzero(errors[penalty, bonus] == errors.min())
    return TunedWeights(
        float(_LM_WEIGHTS[ties[len(ties) // 2]]),
        _WORD_BONUSES[bonus],
        _UNK_PENALTIES[penalty],
        int(errors.min()),
        int(errors[0, 0, 0]),
        num_words,
    )


def word_errors(hypothesis, reference):
    """Returns the Levenshtein distance between two lists of words.

    Example:

    >>> word_errors("a cat sat down".split(), "the cat sat".split())
    2
    """
    positions = np.arange(len(reference) + 1)
    distances = positions
    for count, word in enumerate(hypothesis, 1):
        is_other = np.array([word != other for other in reference], int)
        # Insertions and substitutions, then deletions, each of which costs one per position.
        best = np.minimum(distances[1:] + 1, distances[:-1] + is_other)
        distances = np.minimum.accumulate(np.append(count, best) - positions) + positions
    return int(distances[-1])
