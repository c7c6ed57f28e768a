"""Sums over the words of a text, and what they say."""

import math

import numpy as np

from awd_keras.data.vocabulary import EOS, UNK
from awd_keras.evaluation.evaluate import EvaluationResult


class Summary:
    """Adds up nats in float64, those of `<unk>` also apart.

    Args:
        unk_id: the id of `<unk>`, or None if the vocabulary has none.

    Example:

    >>> summary = Summary(unk_id=0)
    >>> summary.add(np.array([3, 0]), np.array([-2.0, -1.0]))
    >>> summary.result.loss, summary.without_unk.loss, summary.num_unk
    (1.5, 2.0, 1)
    """

    def __init__(self, unk_id=None):
        self._unk_id = unk_id
        self._total, self._count = 0.0, 0
        self._unk_total, self.num_unk = 0.0, 0

    def add(self, targets, log_probabilities):
        """Adds some words.

        Args:
            targets: int array: the words.
            log_probabilities: float array of the same shape.
        """
        nats = -np.asarray(log_probabilities, np.float64)
        self._total += float(np.sum(nats))
        self._count += nats.size
        if self._unk_id is not None:
            is_unk = targets == self._unk_id
            self._unk_total += float(np.sum(nats[is_unk]))
            self.num_unk += int(np.count_nonzero(is_unk))

    @property
    def result(self):
        """`EvaluationResult` over all words so far."""
        return EvaluationResult(self._total, self._count)

    @property
    def without_unk(self):
        """`EvaluationResult` over the words that are not `<unk>`; None if there are none."""
        count = self._count - self.num_unk
        return EvaluationResult(self._total - self._unk_total, count) if count else None

    def to_dict(self):
        """Loss, perplexity and counts, all words and without `<unk>`, as JSON can hold them."""
        known = self.without_unk
        return {
            **self.result.to_dict(),
            "num_unk": self.num_unk,
            "loss_without_unk": known.loss if known else None,
            "perplexity_without_unk": known.perplexity if known else None,
        }


def has_characters(vocabulary):
    """Whether the words of a vocabulary are characters, so that bits per word are per character.

    Args:
        vocabulary: a `Vocabulary`.

    Returns:
        True if all words but `<unk>` and `<eos>` have length 1, and there are such words.

    Example:

    >>> from awd_keras.data import Vocabulary
    >>> has_characters(Vocabulary(["<eos>", "a", "b", "_"]))
    True
    """
    words = [word for word in vocabulary.words if word not in (UNK, EOS)]
    return bool(words) and all(len(word) == 1 for word in words)


def bits(loss):
    """A loss in nats as bits.

    Example:

    >>> round(bits(math.log(8)), 9)
    3.0
    """
    return loss / math.log(2)
