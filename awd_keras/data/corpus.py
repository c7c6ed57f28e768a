"""A corpus: three texts as ids, and their vocabulary."""

import dataclasses
import hashlib

import numpy as np

from awd_keras.data.text_files import SPLITS, warn_of_marks
from awd_keras.data.tokenizer import WHITESPACE
from awd_keras.data.vocabulary import UNK, Vocabulary
from awd_keras.data.windows import window_dataset
from awd_keras.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """Three texts as ids, and the vocabulary they share.

    Args:
        name: The name of the corpus, which labels results.
        vocabulary: The `Vocabulary` of the training text.
        train, validation, test: The ids of the texts, int32 arrays. Each line ends with `<eos>`.
        unknown_counts: A dictionary with the number of words of each text that are not in the
            vocabulary. A literal `<unk>` in the text does not count.
        source: Where the texts come from.

    Example:

    >>> texts = {"train": ["a b <unk>", "b"], "validation": ["a c"], "test": ["b"]}
    >>> corpus = Corpus.from_texts("letters", texts)
    >>> corpus.vocabulary.words
    ('a', 'b', '<unk>', '<eos>')
    >>> corpus.validation.tolist()
    [0, 2, 3]
    >>> print(corpus.describe())
    letters: 6 train, 3 validation, 2 test tokens, 4 words (memory)
    letters: words outside the vocabulary became <unk>: 1 validation (33.33%)
    >>> corpus.truncated(3).token_counts
    {'train': 3, 'validation': 3, 'test': 2}
    >>> [targets.numpy().tolist() for _, targets in corpus.windows("validation", batch_size=1)]
    [[[2, 3]]]
    """

    name: str
    vocabulary: Vocabulary
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    unknown_counts: dict
    source: str

    @classmethod
    def from_texts(
        cls,
        name,
        texts,
        max_vocabulary_size=None,
        source="memory",
        tokenizer=WHITESPACE,
        by_frequency=False,
    ):
        """Builds a corpus from lines of text.

        Lines are split into tokens, and each ends with `<eos>`, even if it is empty. The
        vocabulary is built from the training text. (The authors' code uses the words of all three
        texts, which results in the same vocabulary for Penn Treebank and WikiText-2.)

        Args:
            name: The name of the corpus.
            texts: A dictionary with an iterable of lines for each of `"train"`, `"validation"` and
                `"test"`.
            max_vocabulary_size: Maximum number of words, including `<unk>` and `<eos>`. Less
                frequent words become `<unk>`. Defaults to no maximum.
            source: Where the texts come from, used in messages.
            tokenizer: The `Tokenizer` of the texts. Defaults to one that splits at whitespace. With
                others, `<unk>` is always in the vocabulary.
            by_frequency: Whether to order the words by frequency, as an adaptive softmax requires,
                instead of by first occurrence. Defaults to `False`.

        Returns:
            A `Corpus`.

        Raises:
            InputError: If a text has no words or is a string, or if the training text has no
                `<unk>` and lacks a word of the validation or test text.
        """
        vocabulary, arrays, unknown_counts = None, {}, {}
        for split in SPLITS:
            text = f"The {split} text ({source})"
            if isinstance(texts[split], str):
                raise InputError(
                    f"{text} must be a list of lines, not a string; call "
                    f"`.splitlines()` on it. Received: {texts[split][:80]!r}"
                )
            lines = warn_of_marks(texts[split], text, tokenizer)
            try:
                if vocabulary is None:
                    vocabulary, ids, num_unknown = Vocabulary.build_and_encode(
                        lines, max_vocabulary_size, tokenizer, by_frequency
                    )
                else:
                    ids, num_unknown = vocabulary.encode_lines(lines)
            except InputError as error:
                raise InputError(f"{text}: {error}") from error
            if np.all(ids == vocabulary.eos_id):
                raise InputError(f"{text} must contain words. Received: {len(ids)} empty lines")
            ids.setflags(write=False)
            arrays[split], unknown_counts[split] = ids, num_unknown
        return cls(name, vocabulary, **arrays, unknown_counts=unknown_counts, source=source)

    @property
    def token_counts(self):
        """A dictionary with the number of tokens of each text, including `<eos>`."""
        return {split: len(getattr(self, split)) for split in SPLITS}

    @property
    def digest(self):
        """SHA-256 of the ids of the three texts, in hexadecimal."""
        texts = (getattr(self, split).astype("<i4").tobytes() for split in SPLITS)
        return hashlib.sha256(b"".join(texts)).hexdigest()

    def windows(self, split, batch_size, bptt=None, seed=None, **kwargs):
        """Cuts the text of a split into windows for `fit` and `evaluate`.

        Args:
            split: `"train"`, `"validation"` or `"test"`.
            batch_size, bptt, seed, **kwargs: Passed to `window_dataset`.

        Returns:
            A `tf.data.Dataset` of `(inputs, targets)`.
        """
        return window_dataset(getattr(self, split), batch_size, bptt, seed, **kwargs)

    def truncated(self, max_train_tokens):
        """Returns a corpus with only the first `max_train_tokens` tokens of the training text.

        The vocabulary, the validation text and the test text stay the same.
        """
        if max_train_tokens >= len(self.train):
            return self
        train = self.train[:max_train_tokens]
        # An upper bound if the text contains `<unk>` itself.
        num_unknown = int(np.count_nonzero(train == self.vocabulary.unk_id))
        num_unknown = min(num_unknown, self.unknown_counts["train"])
        return dataclasses.replace(
            self,
            train=train,
            unknown_counts={**self.unknown_counts, "train": num_unknown},
            source=f"{self.source}, the first {max_train_tokens:,} training tokens",
        )

    def describe(self):
        """Describes the corpus in one line; a second one reports words outside the vocabulary."""
        counts = ", ".join(f"{count:,} {split}" for split, count in self.token_counts.items())
        text = f"{self.name}: {counts} tokens, {len(self.vocabulary):,} words ({self.source})"
        unknown = [
            f"{count:,} {split} ({count / self.token_counts[split]:.2%})"
            for split, count in self.unknown_counts.items()
            if count
        ]
        if unknown:
            text += f"\n{self.name}: words outside the vocabulary became {UNK}: "
        return text + ", ".join(unknown)
