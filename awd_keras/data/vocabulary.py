"""Words and their ids."""

import collections
import hashlib
import io
import itertools
import pathlib
import re

import numpy as np

from awd_keras.atomic_write import atomic_write
from awd_keras.data.text_files import decoded_lines
from awd_keras.data.tokenizer import WHITESPACE
from awd_keras.errors import InputError

UNK = "<unk>"
EOS = "<eos>"

# Files contain white space in words as `\uXXXX`. A backslash that would be read as an escape is
# escaped too, and so is a byte order mark at the start of the file.
_CODE = r"u(?:000[9a-d]|001[c-f]|0020|005c|0085|00a0|1680|200[0-9a]|202[89f]|205f|3000|feff)"
_ESCAPED = re.compile(rf"\\{_CODE}")
_TO_ESCAPE = re.compile(rf"\s|\\(?={_CODE})")


class Vocabulary:
    """An immutable list of words. The id of a word is its position in the list.

    Args:
        words: The words in the order of their ids: unique, non-empty strings.
        tokenizer: The `Tokenizer` that splits texts into these words. Defaults to one that splits
            at whitespace.

    Attributes:
        words: The words, a tuple.
        tokenizer: The `Tokenizer`.
        unk_id: The id of `<unk>`, or `None` if the vocabulary has none.
        eos_id: The id of `<eos>`, or `None` if the vocabulary has none.

    Raises:
        InputError: If there are no words, or a word is empty or repeated.

    Example:

    >>> vocabulary = Vocabulary(["<unk>", "<eos>", "the", "cat"])
    >>> vocabulary.encode("the dog <eos>".split()).tolist()
    [2, 0, 1]
    >>> vocabulary.decode([2, 3])
    ['the', 'cat']
    """

    def __init__(self, words, tokenizer=WHITESPACE):
        self.words = tuple(words)
        self.tokenizer = tokenizer
        if not self.words:
            raise InputError("A vocabulary needs at least one word. Received none.")
        self._index = {}
        for position, word in enumerate(self.words):
            if not isinstance(word, str) or not word:
                raise InputError(
                    f"Words must be non-empty strings. Received: {word!r} as word {position + 1}"
                )
            if self._index.setdefault(word, position) != position:
                raise InputError(
                    f"Words must be unique. Received: {word!r} as words {self._index[word] + 1} "
                    f"and {position + 1}"
                )
        self.unk_id = self._index.get(UNK)
        self.eos_id = self._index.get(EOS)

    @classmethod
    def build_and_encode(cls, lines, max_size=None, tokenizer=WHITESPACE, by_frequency=False):
        """Builds the vocabulary of a text, and converts the text to ids, in one pass.

        Without `max_size`, words are ordered by first occurrence, as in the authors' code.
        With `max_size`, `<unk>` and `<eos>` come first, followed by the most frequent words; ties
        are broken by first occurrence.

        Args:
            lines: An iterable of lines. Each ends with `<eos>`.
            max_size: Maximum number of words, including `<unk>` and `<eos>`. Defaults to no
                maximum; then tokenizers of text that is not prepared add `<unk>` to the words of
                the text.
            tokenizer: The `Tokenizer` of the text. Defaults to one that splits at whitespace.
            by_frequency: Whether to order by frequency without `max_size` too, as an adaptive
                softmax requires. Defaults to `False`.

        Returns:
            A tuple `(vocabulary, ids, num_unknown)`; see `encode_lines`.

        Raises:
            InputError: If `max_size` is less than 3, or there are no words.

        Example:

        >>> vocabulary, ids, num_unknown = Vocabulary.build_and_encode(["b a", "c a"], max_size=4)
        >>> vocabulary.words, ids.tolist(), num_unknown
        (('<unk>', '<eos>', 'a', 'b'), [3, 2, 1, 0, 2, 1], 1)
        """
        if max_size is not None and max_size < 3:
            raise InputError(
                "The size of a vocabulary must be at least 3, for <unk>, <eos> and one word. "
                f"Received: max_size={max_size}"
            )
        # Ids in the order of first occurrence.
        index = collections.defaultdict(itertools.count().__next__)
        ids = np.fromiter(map(index.__getitem__, _tokens(lines, tokenizer)), np.int32)
        words = ordered = list(index)
        if by_frequency or max_size is not None:
            ordered = [words[i] for i in np.argsort(-np.bincount(ids), kind="stable")]
        if max_size is not None:
            frequent = [word for word in ordered if word not in (UNK, EOS)]
            ordered = [UNK, EOS, *frequent[: max_size - 2]]
        elif tokenizer.name != "whitespace" and UNK not in index:
            ordered = [*ordered, UNK]
        vocabulary = cls(ordered, tokenizer)
        return vocabulary, *vocabulary._replace_unknown(vocabulary._find(words)[ids])

    @property
    def has_only_characters(self):
        """Whether all words except `<unk>` and `<eos>` are single characters."""
        return all(len(word) == 1 for word in self._index.keys() - {UNK, EOS})

    @property
    def digest(self):
        """SHA-256 of the file that `save` writes, in hexadecimal."""
        return hashlib.sha256(self._content()).hexdigest()

    def __len__(self):
        return len(self.words)

    def __contains__(self, word):
        return word in self._index

    def __eq__(self, other):
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (self.words, self.tokenizer) == (other.words, other.tokenizer)

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
        return self._replace_unknown(self._find(tokens))[0]

    def encode_lines(self, lines):
        """Converts lines of text to ids.

        Args:
            lines: An iterable of lines, which the vocabulary's tokenizer splits.

        Returns:
            A tuple `(ids, num_unknown)`: an int32 array with an `<eos>` at the end of each line,
            and the number of words outside the vocabulary, not counting a literal `<unk>`.

        Raises:
            InputError: If a word is not in the vocabulary and there is no `<unk>`.
        """
        return self._replace_unknown(self._find(_tokens(lines, self.tokenizer)))

    def _find(self, tokens):
        """Returns the ids of tokens: -1 for words outside a vocabulary with `<unk>`."""
        if self.unk_id is not None:
            return np.fromiter(map(self._index.get, tokens, itertools.repeat(-1)), np.int32)
        try:
            return np.fromiter(map(self._index.__getitem__, tokens), np.int32)
        except KeyError as error:
            raise InputError(
                f"The word {error.args[0]!r} is not in the vocabulary, which has no {UNK}. Add "
                f"{UNK} to the training text, or limit the size of the vocabulary."
            ) from None

    def _replace_unknown(self, ids):
        """Returns the ids with `<unk>` for -1, and the number of replacements."""
        is_unknown = ids < 0
        num_unknown = int(np.count_nonzero(is_unknown))
        if num_unknown:
            ids[is_unknown] = self.unk_id
        return ids, num_unknown

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
        r"""Writes the words to a UTF-8 file, one per line, white space in a word as `\uXXXX`."""
        with atomic_write(path, "wb") as file:
            file.write(self._content())

    @classmethod
    def load(cls, path, tokenizer=WHITESPACE):
        """Returns the vocabulary in a file with one word per line; see `save`.

        Raises:
            OSError: If the file cannot be read.
            InputError: If it is not a list of unique words in UTF-8.
        """
        content = pathlib.Path(path).read_bytes()
        if content.startswith(b"\x80"):  # which does not begin any text
            raise InputError(
                f"{path} is a pickle, which may run code when it is loaded. If you trust it, write "
                "its words as text: import pickle; from awd_keras.data import Vocabulary; "
                f"Vocabulary(pickle.load(open({str(path)!r}, 'rb'))).save('words.txt')"
            )
        words = []
        # A byte order mark is part of a word, unless it is the first character of the file.
        content = content.replace(b"\n\xef\xbb\xbf", b"\n\\ufeff")
        for number, line in enumerate(decoded_lines(io.BytesIO(content), path), 1):
            if line.split() != [line]:
                raise InputError(
                    f"{path} must contain one word per line, with a space in a word written as "
                    f"\\u0020. Received: {line!r} in line {number}"
                )
            words.append(_ESCAPED.sub(lambda match: chr(int(match[0][2:], 16)), line))
        try:
            return cls(words, tokenizer)
        except InputError as error:
            raise InputError(f"{path} is not a vocabulary (one word per line): {error}") from error

    def _content(self):
        words = (
            _TO_ESCAPE.sub(lambda match: f"\\u{ord(match[0]):04x}", word) for word in self.words
        )
        text = "".join(f"{word}\n" for word in words)
        return re.sub("^\ufeff", r"\\ufeff", text).encode("utf-8")


def _tokens(lines, tokenizer):
    for line in lines:
        yield from tokenizer.split(line)
        yield EOS
