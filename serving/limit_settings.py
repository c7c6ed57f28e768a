"""What a request may ask for, in numbers. Without TensorFlow, for the help of the commands."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest request that an export answers. They bound its memory and its time.

    Args:
        max_batch_size: rows.
        max_text_bytes: bytes of a text.
        max_text_words: words of a text, and columns of `token_ids`.
        max_words: words that a row of `generate` may ask for.
        max_k: words that a row of `next_word` may ask for.

    Raises:
        ValueError: if one is not a positive integer that fits an int32.
    """

    max_batch_size: int = 256
    max_text_bytes: int = 65_536
    max_text_words: int = 1024
    max_words: int = 1024
    max_k: int = 1000

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
                raise ValueError(
                    f"{field.name} must be a positive integer below 2**31. Received: {value!r}"
                )
