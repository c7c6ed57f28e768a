"""Loads a corpus by name."""

import warnings

from awd_keras.data.corpus import Corpus
from awd_keras.data.sotu import VOCABULARY_SIZE, load_sotu
from awd_keras.data.text_files import read_text_folder
from awd_keras.data.tokenizer import WHITESPACE
from awd_keras.errors import InputError

CORPORA = ("ptb", "wikitext2", "sotu", "text")
_TITLES = {"ptb": "Penn Treebank", "wikitext2": "WikiText-2"}
# The numbers of tokens (with an `<eos>` per line) and of words in the published texts.
_PUBLISHED = {
    "ptb": ({"train": 929_589, "validation": 73_760, "test": 82_430}, 10_000),
    "wikitext2": ({"train": 2_088_628, "validation": 217_646, "test": 245_569}, 33_278),
}


def load_corpus(
    name,
    data_dir=None,
    max_vocabulary_size=None,
    max_train_tokens=None,
    tfds_data_dir=None,
    tokenizer=WHITESPACE,
):
    """Loads a corpus by name.

    Args:
        name: `"ptb"` (Penn Treebank), `"wikitext2"` (WikiText-2), `"sotu"` (State of the Union
            messages, from the Python package `sotu`) or `"text"` (your own files).
        data_dir: A folder of text files; see `read_text_folder`. Required for `"text"`. Without
            it, `"ptb"` and `"wikitext2"` are downloaded with TensorFlow Datasets.
        max_vocabulary_size: Maximum number of words, including `<unk>` and `<eos>`. Defaults to
            10,000 for `"sotu"`, and to no maximum otherwise.
        max_train_tokens: Train on the first N tokens, with the vocabulary of the whole text.
            Defaults to all tokens.
        tfds_data_dir: The data folder of TensorFlow Datasets. Defaults to that library's default.
        tokenizer: The `Tokenizer` of the texts. Defaults to one that splits at whitespace.

    Returns:
        A `Corpus`.

    Raises:
        InputError: If the corpus is unknown, missing, unreadable or differs from the published one.
    """
    if name not in CORPORA:
        raise InputError(f"The corpus must be one of {CORPORA}. Received: {name!r}")
    if (name == "text" and data_dir is None) or (name == "sotu" and data_dir is not None):
        raise InputError(
            "The corpus 'text' needs data_dir, a folder with train.txt, valid.txt and test.txt; "
            f"'sotu' takes no data_dir. Received: {name!r} with data_dir={data_dir}"
        )
    if name == "sotu":
        corpus = load_sotu(max_vocabulary_size or VOCABULARY_SIZE, tokenizer)
    elif data_dir is not None:
        texts, source = read_text_folder(data_dir), str(data_dir)
        corpus = Corpus.from_texts(name, texts, max_vocabulary_size, source, tokenizer)
    else:
        # Importing TensorFlow Datasets takes seconds.
        from awd_keras.data.tfds_texts import read_tfds_texts

        texts, source = read_tfds_texts(name, _TITLES[name], tfds_data_dir)
        corpus = Corpus.from_texts(name, texts, max_vocabulary_size, source, tokenizer)
    received = corpus.token_counts, len(corpus.vocabulary)
    expected_counts, expected_size = _PUBLISHED.get(name, received)
    if max_vocabulary_size is not None:
        expected_size = len(corpus.vocabulary)
    if tokenizer == WHITESPACE and received != (expected_counts, expected_size):
        message = (
            f"{corpus.source} is not the published {_TITLES[name]}. Expected: {expected_counts} "
            f"tokens, {expected_size} words. Received: {received[0]} tokens, {received[1]} words."
        )
        if data_dir is None:
            raise InputError(f"{message} Delete it and any files in the manual folder.")
        warnings.warn(f"{message} Perplexities are not comparable with the paper's.", stacklevel=2)
    return corpus if max_train_tokens is None else corpus.truncated(max_train_tokens)


def is_published(name, token_counts, vocabulary_size):
    """Returns whether a corpus has published perplexities to compare with.

    >>> is_published("ptb", {"train": 929_589, "validation": 73_760, "test": 82_430}, 10_000)
    True
    """
    return (token_counts, vocabulary_size) == _PUBLISHED.get(name)
