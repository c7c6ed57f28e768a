"""A corpus: three texts as ids, and the vocabulary they share."""

import dataclasses
import hashlib

import numpy as np

from awd_keras.data.vocabulary import EOS, UNK, Vocabulary
from awd_keras.errors import InputError

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """Three texts as ids, and the vocabulary they share.

    Args:
        name: What the numbers measured on it are labelled with.
        vocabulary: The `Vocabulary`, built from the training text alone.
        train: The whole training text in order, an int32 array, `<eos>` at each line's end.
        validation: The same of the validation text.
        test: The same of the test text.
        unknown_counts: For each split, the number of tokens outside the vocabulary, which
            became `<unk>`. A `<unk>` that is written in the text is not among them.
        source: Where the texts were read from.

    Example:

    >>> texts = {"train": ["a b <unk>", "b"], "validation": ["a c"], "test": ["b"]}
    >>> corpus = Corpus.from_texts("letters", texts)
    >>> corpus.vocabulary.words
    ('a', 'b', '<unk>', '<eos>')
    >>> corpus.validation.tolist()
    [0, 2, 3]
    >>> corpus.unknown_counts
    {'train': 0, 'validation': 1, 'test': 0}
    """

    name: str
    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    unknown_counts: dict
    source: str

    @classmethod
    def from_texts(cls, name, texts, max_vocabulary_size=None, source="memory"):
        """Makes a corpus of lines of words.

        Words are split at white space. Each line ends with `<eos>`, an empty line too. The
        vocabulary is that of the training text. (The authors' code takes the words of all
        three texts, which for their corpora gives the same words.)

        Args:
            name: The name of the corpus.
            texts: A dict of an iterable of lines for each of "train", "validation", "test".
            max_vocabulary_size: The largest size of the vocabulary, `<unk>` and `<eos>` among
                it; rarer words become `<unk>`. With `None` there is no limit, and words of the
                training text are never unknown.
            source: Where the texts come from, for messages.

        Returns:
            A `Corpus`.

        Raises:
            InputError: If a text is missing or has no word, or words of the validation or test
                text are not in the training text and it has no `<unk>`.
        """
        if set(texts) != set(SPLITS):
            raise InputError(
                f"A corpus needs the texts {list(SPLITS)}. Received: {sorted(texts)} ({source})"
            )
        lines = {}
        for split in SPLITS:
            if isinstance(texts[split], (str, bytes)):
                raise InputError(
                    f"The {split} text must be an iterable of lines, not one string: call "
                    f"`.split('\\n')` on it. Received: {texts[split][:80]!r}"
                )
            lines[split] = list(texts[split])
            if not any(line.split() for line in lines[split]):
                raise InputError(
                    f"The {split} text of {name!r} ({source}) has no word in its "
                    f"{len(lines[split])} lines. Give a text with words separated by white space."
                )
        try:
            vocabulary = Vocabulary.build(_tokens(lines["train"]), max_vocabulary_size)
        except ValueError as error:
            raise InputError(f"The vocabulary of {name!r} cannot be built: {error}") from error

        arrays, unknown_counts = {}, {}
        for split in SPLITS:
            arrays[split], unknown_counts[split] = _encode(split, lines[split], vocabulary, source)
        return cls(
            name=name,
            vocabulary=vocabulary,
            unknown_counts=unknown_counts,
            source=source,
            **arrays,
        )

    @property
    def token_counts(self):
        """The number of tokens of each split, `<eos>` included, as a dict."""
        return {split: len(getattr(self, split)) for split in SPLITS}

    @property
    def digest(self):
        """SHA-256 of the three texts as ids, in hexadecimal digits."""
        digest = hashlib.sha256()
        for split in SPLITS:
            digest.update(getattr(self, split).astype("<i4").tobytes())
        return digest.hexdigest()

    def truncated(self, max_train_tokens):
        """The corpus with the beginning of its training text alone.

        Args:
            max_train_tokens: The largest number of tokens of the training text.

        Returns:
            A `Corpus` with the same vocabulary, validation and test text.

        Example:

        >>> texts = {"train": ["a b <unk>", "b"], "validation": ["a c"], "test": ["b"]}
        >>> Corpus.from_texts("letters", texts).truncated(3).token_counts
        {'train': 3, 'validation': 3, 'test': 2}
        """
        if max_train_tokens >= len(self.train):
            return self
        train = self.train[:max_train_tokens]
        # Exact, unless the text has a `<unk>` of its own and rarer words became another.
        unknown = int(np.count_nonzero(train == self.vocabulary.unk_id))
        counts = {**self.unknown_counts, "train": min(unknown, self.unknown_counts["train"])}
        source = f"{self.source}, the first {max_train_tokens:,} training tokens"
        return dataclasses.replace(self, train=train, unknown_counts=counts, source=source)

    def describe(self):
        """Describes the corpus in a line, and words outside the vocabulary in a second one.

        Returns:
            A string for the log.

        Example:

        >>> texts = {"train": ["a b <unk>"], "validation": ["a c"], "test": ["b"]}
        >>> print(Corpus.from_texts("letters", texts).describe())
        letters: 4 train, 3 validation, 2 test tokens, 4 words (memory)
        letters: words outside the vocabulary became <unk>: 1 validation (33.33%)
        """
        counts = ", ".join(f"{count:,} {split}" for split, count in self.token_counts.items())
        text = f"{self.name}: {counts} tokens, {len(self.vocabulary):,} words ({self.source})"
        unknown = [
            f"{count:,} {split} ({count / self.token_counts[split]:.2%})"
            for split, count in self.unknown_counts.items()
            if count
        ]
        if unknown:
            text += f"\n{self.name}: words outside the vocabulary became {UNK}: "
            text += ", ".join(unknown)
        return text


def _tokens(lines):
    for line in lines:
        yield from line.split()
        yield EOS


def _encode(split, lines, vocabulary, source):
    try:
        ids = vocabulary.encode(_tokens(lines))
    except ValueError:
        unknown = [word for word in _tokens(lines) if word not in vocabulary]
        raise InputError(
            f"{len(unknown):,} tokens of the {split} text ({source}) are not in the training "
            f"text, the first {unknown[0]!r}, and there is no {UNK!r} to stand for them. Limit "
            f"the vocabulary (`max_vocabulary_size`), so that rare words become {UNK!r}, or "
            f"write {UNK!r} in the training text."
        ) from None
    unknown_count = 0
    if vocabulary.unk_id is not None:
        written = sum(line.split().count(UNK) for line in lines)
        unknown_count = int(np.count_nonzero(ids == vocabulary.unk_id)) - written
    # The arrays of a frozen object are frozen too.
    ids.setflags(write=False)
    return ids, unknown_count
