"""Limits on the size of a request."""

import dataclasses


def _limit(default, meaning):
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest request that an exported model accepts, which bounds its memory and time.

    The limits are part of the exported graph. Each one is a positive integer below 2**31.

    Example:

    >>> Limits(max_words=50).max_batch_size
    256
    """

    max_batch_size: int = _limit(256, "largest number of rows of a request")
    max_text_bytes: int = _limit(65_536, "largest number of bytes of a text")
    max_text_words: int = _limit(
        1024, "largest number of words of a text, and of columns of `token_ids`"
    )
    max_words: int = _limit(1024, "largest `max_words` of `generate`")
    max_k: int = _limit(1000, "largest `k` of `next_word`")
