"""The loss of each word of a text, with and without the continuous cache."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class WordRow:
    """A word of a table.

    Args:
        word: The word.
        count: How often it was predicted.
        total: Nats over all its occurrences, without the cache.
        gain: Nats that the cache saved over all its occurrences.
    """

    word: str
    count: int
    total: float
    gain: float

    @property
    def mean(self):
        """Nats per occurrence."""
        return self.total / self.count


class WordLosses:
    """Sums the nats of each word of a text.

    Args:
        vocabulary: `Vocabulary` of the text.

    Example:

    >>> from awd_keras.data import Vocabulary
    >>> words = WordLosses(Vocabulary(["<eos>", "rare", "common"]))
    >>> words.add([[2, 2, 1, 2]], [[-1.0, -1.5, -3.0, -1.5]], [[-0.5, -1.0, -3.5, -1.5]])
    >>> [(row.word, row.count, row.total) for row in words.largest("total", 2)]
    [('common', 3, 4.0), ('rare', 1, 3.0)]
    >>> [(row.word, row.gain) for row in words.largest("gain", 5)]
    [('common', 1.0)]
    """

    def __init__(self, vocabulary):
        self._words = vocabulary.words
        self._counts = np.zeros(len(vocabulary), np.int64)
        self._alone = np.zeros(len(vocabulary))
        self._with_cache = np.zeros(len(vocabulary))

    def add(self, targets, without_cache, with_cache):
        """Adds words.

        Args:
            targets: Integer array of word ids.
            without_cache: Their log-probabilities, an array of the same shape.
            with_cache: Their log-probabilities with the cache.
        """
        targets, size = np.ravel(targets), len(self._words)
        self._counts += np.bincount(targets, minlength=size)
        for sums, values in ((self._alone, without_cache), (self._with_cache, with_cache)):
            sums -= np.bincount(targets, np.ravel(np.asarray(values, np.float64)), minlength=size)

    @property
    def num_tokens(self):
        """Number of words added, counting repetitions."""
        return int(self._counts.sum())

    @property
    def losses(self):
        """Nats per word, `(without_cache, with_cache)`."""
        return self._alone.sum() / self.num_tokens, self._with_cache.sum() / self.num_tokens

    def largest(self, by, limit, min_count=1):
        """Ranks the words.

        Args:
            by: `"total"` or `"mean"` nats without the cache, or the total `"gain"` or `"loss"` by
                the cache.
            limit: Largest number of words.
            min_count: Leave out words that occur less often.

        Returns:
            List of `WordRow` with positive values, the largest first.
        """
        gains = self._alone - self._with_cache
        values = {
            "total": self._alone,
            "mean": self._alone / np.maximum(self._counts, 1),
            "gain": gains,
            "loss": -gains,
        }[by]
        order = np.argsort(-values, kind="stable")
        order = order[(values[order] > 0) & (self._counts[order] >= min_count)][:limit]
        return [
            WordRow(self._words[i], int(self._counts[i]), float(self._alone[i]), float(gains[i]))
            for i in order.tolist()
        ]
