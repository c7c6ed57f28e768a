"""Which words cost a model most, and which gain and lose by the continuous cache."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class WordRow:
    """What was found of a word.

    Args:
        word: the word.
        count: how often it was predicted.
        total: nats, over all those times, by the model alone.
        gain: nats that the cache saved, over all those times; negative where it cost some.
    """

    word: str
    count: int
    total: float
    gain: float

    @property
    def mean(self):
        """Nats each time."""
        return self.total / self.count


class WordLosses:
    """Adds up the nats of each word of a text.

    Args:
        vocabulary: `Vocabulary` of the text.

    Example:

    >>> from awd_keras.data import Vocabulary
    >>> words = WordLosses(Vocabulary(["<eos>", "rare", "common"]))
    >>> words.add([[2, 2, 1, 2]], [[-1.0, -1.5, -3.0, -1.5]], [[-0.5, -1.0, -3.5, -1.5]])
    >>> [(row.word, row.count, row.total) for row in words.hardest("total", 2)]
    [('common', 3, 4.0), ('rare', 1, 3.0)]
    >>> [row.word for row in words.hardest("mean", 2)]
    ['rare', 'common']
    >>> [(row.word, row.gain) for row in words.most_gained(5)]
    [('common', 1.0)]
    """

    def __init__(self, vocabulary):
        self._words = vocabulary.words
        self._counts = np.zeros(len(vocabulary), np.int64)
        self._alone = np.zeros(len(vocabulary))
        self._with_cache = np.zeros(len(vocabulary))

    def add(self, targets, without_cache, with_cache):
        """Adds some words.

        Args:
            targets: integer array: the words.
            without_cache, with_cache: their log-probabilities, arrays of the same shape.
        """
        targets = np.ravel(targets)
        size = len(self._words)
        self._counts += np.bincount(targets, minlength=size)
        for sums, values in ((self._alone, without_cache), (self._with_cache, with_cache)):
            nats = -np.ravel(np.asarray(values, np.float64))
            sums += np.bincount(targets, nats, minlength=size)

    @property
    def num_tokens(self):
        """How many words were predicted, repetitions counted."""
        return int(self._counts.sum())

    @property
    def loss(self):
        """Nats per word, by the model alone."""
        return float(self._alone.sum()) / self.num_tokens

    @property
    def loss_with_cache(self):
        """Nats per word, with the cache."""
        return float(self._with_cache.sum()) / self.num_tokens

    def hardest(self, by, limit, min_count=1):
        """The words that cost most.

        Args:
            by: "total" nats, or "mean" nats each time.
            limit: how many at most.
            min_count: leave out words predicted less often.

        Returns:
            a list of `WordRow`, the hardest first; of equals the one with the smaller id.

        Raises:
            ValueError: if `by` is neither.
        """
        if by not in ("total", "mean"):
            raise ValueError(f"`by` must be 'total' or 'mean'. Received: by={by!r}")
        values = self._alone if by == "total" else self._alone / np.maximum(self._counts, 1)
        return self._largest(values, limit, self._counts >= max(min_count, 1))

    def most_gained(self, limit):
        """The words for which the cache saved most nats in all, as `hardest` returns them."""
        gains = self._alone - self._with_cache
        return self._largest(gains, limit, gains > 0)

    def most_lost(self, limit):
        """The words for which the cache cost most nats in all, as `hardest` returns them."""
        costs = self._with_cache - self._alone
        return self._largest(costs, limit, costs > 0)

    def _largest(self, values, limit, eligible):
        order = np.argsort(-values, kind="stable")
        return [
            WordRow(
                self._words[index],
                int(self._counts[index]),
                float(self._alone[index]),
                float(self._alone[index] - self._with_cache[index]),
            )
            for index in order[eligible[order]][:limit].tolist()
        ]
