"""The loss of each word of a text, with and without the continuous cache."""

import numpy as np


class WordLosses:
    """Sums the loss of each word of a text, in nats."""

    def __init__(self, vocabulary):
        self._words = vocabulary.words
        self._counts = np.zeros(len(vocabulary), np.int64)
        self._alone = np.zeros(len(vocabulary))
        self._with_cache = np.zeros(len(vocabulary))

    def add(self, targets, without_cache, with_cache):
        """Adds words: their ids and their log-probabilities, arrays of the same shape."""
        targets, size = np.ravel(targets), len(self._words)
        self._counts += np.bincount(targets, minlength=size)
        for sums, values in ((self._alone, without_cache), (self._with_cache, with_cache)):
            sums -= np.bincount(targets, np.ravel(np.asarray(values, np.float64)), minlength=size)

    @property
    def num_tokens(self):
        """Number of words added, including repetitions."""
        return int(self._counts.sum())

    @property
    def losses(self):
        """Nats per word, `(without_cache, with_cache)`."""
        return self._alone.sum() / self.num_tokens, self._with_cache.sum() / self.num_tokens

    def largest(self, by, limit, min_count=1, sign=1):
        """Returns the words with the largest positive values, as dictionaries.

        Args:
            by: `"total"` or `"mean"` for the nats without the cache, or `"gain"` for the nats that
                the cache saves.
            limit: Maximum number of words.
            min_count: Omit words that occur less often.
            sign: -1 to rank by the negative values.
        """
        values = {
            "total": self._alone,
            "mean": self._alone / np.maximum(self._counts, 1),
            "gain": self._alone - self._with_cache,
        }
        ranked = np.argsort(-sign * values[by], kind="stable")
        eligible = (sign * values[by] > 0) & (self._counts >= min_count)
        return [
            {"word": self._words[i], "count": int(self._counts[i])}
            | {name: float(value[i]) for name, value in values.items()}
            for i in ranked[eligible[ranked]][:limit].tolist()
        ]
