"""Whether a vocabulary is that of a model that reads lines."""

from awd_keras.errors import InputError


def check_vocabulary(vocabulary, vocabulary_size):
    """Finds out before the work whether a model can read and write lines with a vocabulary.

    Args:
        vocabulary: a `Vocabulary`.
        vocabulary_size: words that the model predicts.

    Raises:
        InputError: if the vocabulary has no `<eos>`, or another size.
    """
    if vocabulary.eos_id is None:
        raise InputError(
            "A text begins and ends with <eos>, and the vocabulary has none. "
            f"Received: {vocabulary!r}"
        )
    if len(vocabulary) != vocabulary_size:
        raise InputError(
            f"The model predicts {vocabulary_size} words, the vocabulary has {len(vocabulary)}: it "
            "is another model's."
        )
