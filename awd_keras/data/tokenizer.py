"""Splits lines of text into tokens."""

import dataclasses
import itertools
import re

from awd_keras.errors import InputError

TOKENIZERS = ("whitespace", "basic", "character")
BYTE_ORDER_MARK = "\ufeff"

# The patterns are read by `re` here and by RE2 in exported graphs, which must split alike. So they
# have only literal characters, whose meaning does not depend on the library or its Unicode version.
# The characters at which `str.split` splits:
WHITE_SPACE = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Punctuation and symbols:
_PUNCTUATION = (
    r"!-/:-@\[-`{-~"
    "\xa1-\xa9\xab\xac\xae-\xb1\xb4\xb6-\xb8\xbb\xbf\xd7\xf7\u037e\u0387\u055a-\u055f\u0589\u058a"
    "\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965"
    "\u104a-\u104f\u1361-\u1368\u17d4-\u17da\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2190-\u245f"
    "\u2500-\u2775\u2794-\u2bff\u2e00-\u2e7f\u3001-\u3003\u3008-\u3011\u3014-\u3020\u3030\u30fb"
    "\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffee"
    "\U0001f000-\U0001faff"
)
_LETTERS = f"[^{WHITE_SPACE}{_PUNCTUATION}]+"
# Marks, numbers such as 1,400.50, words with inner apostrophes and hyphens, or any character.
BASIC_TOKEN = (
    "<unk>|<eos>|</?s>|[0-9]+(?:[.,][0-9]+)+|"
    f"{_LETTERS}(?:['\u2019\u2010\u2011-]{_LETTERS})*|[^{WHITE_SPACE}]"
)
_SPLIT = {
    "whitespace": str.split,
    "basic": re.compile(BASIC_TOKEN).findall,
    "character": iter,
}
# Long lines are split in pieces that end at whitespace, because their tokens need more memory.
_PIECE = 1 << 16
_PIECES = re.compile(f"[^{WHITE_SPACE}]*")


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Splits lines of text into tokens, and joins tokens to text.

    Args:
        name: `"whitespace"` (the default) splits like `str.split`. `"basic"`, for text that is not
            prepared, also makes a token of each punctuation mark and symbol, but keeps numbers such
            as 1,400.50, words with apostrophes and hyphens, and `<unk>` and `<eos>`. With
            `"character"`, each character is a token, including blanks.
        lowercase: Whether to convert to lower case first, each character by itself. Defaults to
            `False`.

    Raises:
        InputError: If there is no tokenizer of this name.

    Example:

    >>> tokenizer = Tokenizer("basic", lowercase=True)
    >>> list(tokenizer.split("Don't pay $1,400.50!"))
    ["don't", 'pay', '$', '1,400.50', '!']
    >>> tokenizer.join(["don't", "pay", "!"])
    "don't pay !"
    >>> list(Tokenizer("character").split("a cat"))
    ['a', ' ', 'c', 'a', 't']
    """

    name: str = "whitespace"
    lowercase: bool = False

    def __post_init__(self):
        if self.name not in TOKENIZERS:
            raise InputError(f"The tokenizer must be one of {TOKENIZERS}. Received: {self.name!r}")

    def split(self, line):
        """Returns an iterator over the tokens. A byte order mark before them is skipped."""
        line = line.lstrip(BYTE_ORDER_MARK)
        split = _SPLIT[self.name]
        if len(line) <= _PIECE:
            return iter(split(lower(line) if self.lowercase else line))
        pieces = (lower(piece) if self.lowercase else piece for piece in _pieces(line))
        return itertools.chain.from_iterable(map(split, pieces))

    def join(self, tokens):
        """Returns the tokens as text: characters as they are, others separated by spaces."""
        return ("" if self.name == "character" else " ").join(tokens)


WHITESPACE = Tokenizer()


def lower(text):
    """Converts each character to one lower-case character, without regard to its neighbors."""
    # The two characters for which `str.lower` differs.
    return text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()


def _pieces(line):
    start = 0
    while start < len(line):
        end = _PIECES.match(line, start + _PIECE).end() if start + _PIECE < len(line) else len(line)
        yield line[start:end]
        start = end
