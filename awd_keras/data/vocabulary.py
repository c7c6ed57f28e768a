"""The words of a corpus and their ids."""

import collections
import hashlib
import pathlib

import numpy as np

from awd_keras.atomic_write import atomic_write

UNK = "<unk>"
EOS = "<eos>"


class Vocabulary:
    """An immutable list of words; a word's id is its place in the list.

    Args:
        words: The words in the order of their ids. Each is a non-empty string without
            white space and occurs once.

    Raises:
        ValueError: If there is no word, or a word is empty, repeated or contains white space.

    Example:

    >>> vocabulary = Vocabulary(["<unk>", "<eos>", "the", "cat"])
    >>> vocabulary.encode("the dog <eos>".split()).tolist()
    [2, 0, 1]
    >>> vocabulary.decode([2, 3])
    ['the', 'cat']
    """

    def __init__(self, words):
        if isinstance(words, str):
            raise ValueError(
                f"`words` must be a sequence of words, not one string. Received: words={words!r}"
            )
        words = tuple(words)
        if not words:
            raise ValueError("A vocabulary needs at least one word. Received: words=()")
        index = {}
        for position, word in enumerate(words):
            if not isinstance(word, str) or word.split() != [word]:
                raise ValueError(
                    "Each word must be a non-empty string without white space. "
                    f"Received: {word!r} at position {position}"
                )
            if index.setdefault(word, position) != position:
                raise ValueError(
                    f"Each word must occur once. Received: {word!r} at positions "
                    f"{index[word]} and {position}"
                )
        self._words = words
        self._index = index

    @classmethod
    def build(cls, tokens, max_size=None):
        """Makes a vocabulary of the words in a text.

        Without a limit the words stand in the order of their first occurrence, as in the
        code of the paper's authors, and nothing is added. With a limit, `<unk>` and `<eos>`
        come first and then the most frequent words, ties by first occurrence.

        Args:
            tokens: An iterable of words.
            max_size: The largest number of words, `<unk>` and `<eos>` among them, or `None`.

        Returns:
            A `Vocabulary`.

        Raises:
            ValueError: If `max_size` is below 3, or there are no tokens.

        Example:

        >>> Vocabulary.build("b a c a <eos>".split()).words
        ('b', 'a', 'c', '<eos>')
        >>> Vocabulary.build("b a c a <eos>".split(), max_size=4).words
        ('<unk>', '<eos>', 'a', 'b')
        """
        if max_size is None:
            return cls(dict.fromkeys(tokens))
        if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 3:
            raise ValueError(
                "`max_size` must be an integer of at least 3 (`<unk>`, `<eos>` and one word) "
                f"or None. Received: max_size={max_size!r}"
            )
        counts = collections.Counter(tokens)
        for special in (UNK, EOS):
            counts.pop(special, None)
        # `most_common` keeps the order of first occurrence among equal counts.
        return cls([UNK, EOS] + [word for word, _ in counts.most_common(max_size - 2)])

    @property
    def words(self):
        """The words as a tuple, in the order of their ids."""
        return self._words

    @property
    def unk_id(self):
        """The id of `<unk>`, or `None` if the vocabulary has none."""
        return self._index.get(UNK)

    @property
    def eos_id(self):
        """The id of `<eos>`, or `None` if the vocabulary has none."""
        return self._index.get(EOS)

    @property
    def digest(self):
        """The SHA-256 of the content, as hexadecimal digits: that of the file `save` writes."""
        return hashlib.sha256(self._content()).hexdigest()

    def __len__(self):
        return len(self._words)

    def __contains__(self, word):
        return word in self._index

    def __eq__(self, other):
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._words == other._words

    def __hash__(self):
        return hash(self._words)

    def __repr__(self):
        return f"<Vocabulary of {len(self)} words, sha256 {self.digest[:12]}>"

    def encode(self, tokens):
        """Turns words into ids.

        Args:
            tokens: An iterable of words. A word that is not in the vocabulary becomes `<unk>`.

        Returns:
            An int32 array of ids, one for each word.

        Raises:
            ValueError: If a word is unknown and the vocabulary has no `<unk>`, or `tokens` is
                one string.
        """
        if isinstance(tokens, str):
            raise ValueError(
                "`tokens` must be a sequence of words, not one string: call `.split()` on it. "
                f"Received: tokens={tokens[:80]!r}"
            )
        unk_id = self.unk_id
        if unk_id is not None:
            lookup = self._index.get
            return np.fromiter((lookup(token, unk_id) for token in tokens), dtype=np.int32)
        try:
            return np.fromiter(map(self._index.__getitem__, tokens), dtype=np.int32)
        except KeyError as error:
            raise ValueError(
                f"The word {error.args[0]!r} is not in the vocabulary of {len(self)} words, "
                f"which has no {UNK!r} to stand for it. Add {UNK!r} to the vocabulary: write it "
                "in the training text, or build the vocabulary with a limit on its size."
            ) from None

    def decode(self, ids):
        """Turns ids into words.

        Args:
            ids: An iterable of integers.

        Returns:
            A list of words.

        Raises:
            ValueError: If an id is below 0 or not below `len(vocabulary)`.
        """
        words = []
        for word_id in ids:
            if not 0 <= word_id < len(self._words):
                raise ValueError(
                    f"Ids must be at least 0 and below {len(self._words)}, the size of the "
                    f"vocabulary. Received: {word_id}"
                )
            words.append(self._words[word_id])
        return words

    def save(self, path):
        """Writes the words to a file, one a line, in UTF-8.

        The file is written beside its place and then renamed, so that a reader never sees
        half of it.

        Args:
            path: The file. An existing one is replaced.
        """
        with atomic_write(path, "wb") as file:
            file.write(self._content())

    @classmethod
    def load(cls, path):
        """Reads a file that `save` wrote.

        Args:
            path: The file.

        Returns:
            A `Vocabulary`.

        Raises:
            ValueError: If the file is not a list of words in UTF-8.
        """
        try:
            text = pathlib.Path(path).read_bytes().decode("utf-8")
            return cls(text.removesuffix("\n").split("\n"))
        except ValueError as error:
            raise ValueError(
                f"{path} is not a vocabulary, which has one word on each line, in UTF-8: {error}"
            ) from error

    def _content(self):
        return "".join(f"{word}\n" for word in self._words).encode("utf-8")
