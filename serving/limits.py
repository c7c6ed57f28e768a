"""Limits on a request."""

import dataclasses


def _limit(default, meaning):
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest request that an exported model accepts.

    The limits bound the memory and time of a request, and are part of the exported graph. Each is a
    positive integer below 2**31.
    """

    max_batch_size: int = _limit(256, "maximum number of rows in a request")
    max_text_words: int = _limit(1024, "maximum number of words in a text, or columns of token_ids")
    max_words: int = _limit(1024, "maximum number of words that generate adds")
    max_k: int = _limit(1000, "maximum number of words that next_word returns")
