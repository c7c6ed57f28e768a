"""Words and their ids."""

import collections
import hashlib
import pathlib

import numpy as np

from awd_keras.atomic_write import atomic_write
from awd_keras.errors import InputError

UNK = "<unk>"
EOS = "<eos>"


class Vocabulary:
    """An immutable list of words. The id of a word is its position in the list.

    Args:
        words: The words in the order of their ids: unique, non-empty and without whitespace.

    Attributes:
        words: The words, a tuple.
        unk_id: The id of `<unk>`, or `None` if the vocabulary has none.
        eos_id: The id of `<eos>`, or `None` if the vocabulary has none.

    Raises:
        InputError: If there are no words, or a word is empty, repeated or contains whitespace.

    Example:

    >>> vocabulary = Vocabulary(["<unk>", "<eos>", "the", "cat"])
    >>> vocabulary.encode("the dog <eos>".split()).tolist()
    [2, 0, 1]
    >>> vocabulary.decode([2, 3])
    ['the', 'cat']
    """

    def __init__(self, words):
        self.words = tuple(words)
        if not self.words:
            raise InputError("A vocabulary needs at least one word. Received none.")
        self._index = {}
        for position, word in enumerate(self.words):
            if not isinstance(word, str) or word.split() != [word]:
                raise InputError(
                    "Words must be non-empty strings without whitespace. "
                    f"Received: {word!r} at position {position}"
                )
            if self._index.setdefault(word, position) != position:
                raise InputError(
                    f"Words must be unique. Received: {word!r} at positions {self._index[word]} "
                    f"and {position}"
                )
        self.unk_id = self._index.get(UNK)
        self.eos_id = self._index.get(EOS)

    @classmethod
    def build(cls, tokens, max_size=None):
        """Builds the vocabulary of a text.

        Without `max_size`, words are ordered by first occurrence, as in the authors' code,
        and nothing is added. With `max_size`, `<unk>` and `<eos>` come first, followed by the
        most frequent words; ties are broken by first occurrence.

        Args:
            tokens: An iterable of words.
            max_size: Maximum number of words, including `<unk>` and `<eos>`. Defaults to no
                maximum.

        Returns:
            A `Vocabulary`.

        Raises:
            InputError: If `max_size` is less than 3, or there are no tokens.

        Example:

        >>> Vocabulary.build("b a c a <eos>".split()).words
        ('b', 'a', 'c', '<eos>')
        >>> Vocabulary.build("b a c a <eos>".split(), max_size=4).words
        ('<unk>', '<eos>', 'a', 'b')
        """
        if max_size is None:
            return cls(dict.fromkeys(tokens))
        if max_size < 3:
            raise InputError(
                "The size of a vocabulary must be at least 3, for <unk>, <eos> and one word. "
                f"Received: max_size={max_size}"
            )
        counts = collections.Counter(tokens)
        for special in (UNK, EOS):
            counts.pop(special, None)
        return cls([UNK, EOS] + [word for word, _ in counts.most_common(max_size - 2)])

    @property
    def digest(self):
        """SHA-256 of the file that `save` writes, in hexadecimal."""
        return hashlib.sha256(self._content()).hexdigest()

    def __len__(self):
        return len(self.words)

    def __contains__(self, word):
        return word in self._index

    def __eq__(self, other):
        return self.words == other.words if isinstance(other, Vocabulary) else NotImplemented

    def __repr__(self):
        return f"<Vocabulary of {len(self)} words, sha256 {self.digest[:12]}>"

    def encode(self, tokens):
        """Converts words to ids.

        Args:
            tokens: An iterable of words.

        Returns:
            An int32 array with one id per word. Words outside the vocabulary become `<unk>`.

        Raises:
            ValueError: If `tokens` is a string.
            InputError: If a word is not in the vocabulary and there is no `<unk>`.
        """
        if isinstance(tokens, str):
            raise ValueError(
                "`tokens` must be a sequence of words, not a string; call `.split()` on it. "
                f"Received: tokens={tokens[:80]!r}"
            )
        if self.unk_id is not None:
            lookup, unk_id = self._index.get, self.unk_id
            return np.fromiter((lookup(token, unk_id) for token in tokens), dtype=np.int32)
        try:
            return np.fromiter(map(self._index.__getitem__, tokens), dtype=np.int32)
        except KeyError as error:
            raise InputError(
                f"The word {error.args[0]!r} is not in the vocabulary, which has no {UNK}. Add "
                f"{UNK} to the training text, or limit the size of the vocabulary."
            ) from None

    def decode(self, ids):
        """Converts an iterable of ids to a list of words."""
        return [self.words[word_id] for word_id in ids]

    def check_compatible(self, vocabulary_size):
        """Checks that a model can read and write lines of text with this vocabulary.

        Raises:
            InputError: If the vocabulary does not have `vocabulary_size` words, or no `<eos>`.
        """
        if len(self) != vocabulary_size:
            raise InputError(
                f"The model predicts {vocabulary_size:,} words. Received: a vocabulary of "
                f"{len(self):,} words, which belongs to another model."
            )
        if self.eos_id is None:
            raise InputError(
                f"The vocabulary must contain {EOS}, the end of a line. Received: {self!r}"
            )

    def save(self, path):
        """Writes the words to a UTF-8 file, one per line."""
        with atomic_write(path, "wb") as file:
            file.write(self._content())

    @classmethod
    def load(cls, path):
        """Returns the vocabulary in a file with one word per line.

        Raises:
            OSError: If the file cannot be read.
            InputError: If it is not a list of unique words in UTF-8.
        """
        try:
            text = pathlib.Path(path).read_bytes().decode("utf-8")
            return cls(text.removesuffix("\n").split("\n"))
        except ValueError as error:
            raise InputError(
                f"{path} is not a vocabulary (one word per line, in UTF-8): {error}"
            ) from error

    def _content(self):
        return "".join(f"{word}\n" for word in self.words).encode("utf-8")
