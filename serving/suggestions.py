"""What may follow the words of a sentence that is being typed."""

import numpy as np

_UNKNOWN, _END = "<unk>", "<eos>"


class LineSuggestions:
    """Suggestions by `next_word`: the whole sentence is sent each time.

    Args:
        client: `Client`.
    """

    def __init__(self, client):
        self._client = client
        self.begin()

    def begin(self):
        """Begins a sentence."""
        self.words = []

    def read(self, word):
        """Adds a word to the sentence; `<eos>` ends it and begins the next."""
        if word == _END:
            self.begin()
        else:
            self.words.append(word)

    def best(self, k):
        """The likeliest words to follow.

        Args:
            k: how many.

        Returns:
            list of `(word, log_probability)`, likeliest first.
        """
        return self._client.next_word([" ".join(self.words)], k)[0]


class StepSuggestions:
    """Suggestions by `step`: one word is sent at a time, with the state after those before it.

    Args:
        client: `Client`.
        vocabulary: the model's words, in the order of their ids. What follows the last of them
            in a file, an empty string, may be among them.

    Raises:
        ValueError: if it is not the vocabulary of the model.
    """

    def __init__(self, client, vocabulary):
        self._client = client
        self._vocabulary = vocabulary[:-1] if vocabulary and not vocabulary[-1] else vocabulary
        self._ids = {word: index for index, word in enumerate(self._vocabulary)}
        if _END not in self._ids:
            raise ValueError(f"expected a vocabulary with {_END}, a word in each line.")
        self.begin()
        if len(self._log_probabilities) != len(self._vocabulary):
            raise ValueError(
                f"the vocabulary has {len(self._vocabulary)} words, the model "
                f"{len(self._log_probabilities)}: it is another model's."
            )

    def begin(self):
        """Begins a sentence."""
        self.words = []
        self._state = None
        self._step(self._ids[_END])

    def read(self, word):
        """Adds a word to the sentence; `<eos>` ends it and begins the next.

        Raises:
            ValueError: if the word is unknown and the vocabulary has no `<unk>` to stand for it.
        """
        if word == _END:
            self.begin()
            return
        if word not in self._ids and _UNKNOWN not in self._ids:
            raise ValueError(f"the vocabulary has neither {word!r} nor {_UNKNOWN}.")
        self._step(self._ids.get(word, self._ids.get(_UNKNOWN)))
        self.words.append(word)

    def best(self, k):
        """The likeliest words to follow.

        Args:
            k: how many.

        Returns:
            list of `(word, log_probability)`, likeliest first, equals in the order of the
            vocabulary.
        """
        best = np.argsort(-self._log_probabilities, kind="stable")[:k]
        return [(self._vocabulary[i], float(self._log_probabilities[i])) for i in best]

    def _step(self, token_id):
        log_probabilities, self._state = self._client.step([token_id], self._state)
        self._log_probabilities = log_probabilities[0]
