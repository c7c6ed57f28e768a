"""Loads a corpus by name."""

import warnings

from awd_keras.data import sotu
from awd_keras.data.corpus import Corpus
from awd_keras.data.enwik8 import read_enwik8
from awd_keras.data.text_files import CHARACTER_FILE_NAMES, FILE_NAMES, read_text_folder
from awd_keras.data.tokenizer import WHITESPACE
from awd_keras.errors import InputError

CORPORA = ("ptb", "wikitext2", "wikitext103", "ptb_character", "enwik8", "sotu", "text")
_WITHOUT_DOWNLOAD = ("wikitext103", "ptb_character", "enwik8", "text")
_TITLES = {"ptb": "Penn Treebank", "wikitext2": "WikiText-2", "wikitext103": "WikiText-103"}
# The numbers of tokens (with an `<eos>` per line) and of words in the published texts.
_PUBLISHED = {
    "ptb": ({"train": 929_589, "validation": 73_760, "test": 82_430}, 10_000),
    "wikitext2": ({"train": 2_088_628, "validation": 217_646, "test": 245_569}, 33_278),
    "wikitext103": ({"train": 103_227_021, "validation": 217_646, "test": 245_569}, 267_735),
}


def load_corpus(
    name,
    data_dir=None,
    max_vocabulary_size=None,
    max_train_tokens=None,
    tfds_data_dir=None,
    tokenizer=WHITESPACE,
    by_frequency=False,
):
    """Loads a corpus by name.

    Args:
        name: `"ptb"` (Penn Treebank), `"wikitext2"` (WikiText-2), `"wikitext103"` (WikiText-103),
            `"ptb_character"` (the characters of Penn Treebank, separated by blanks, with `_` for a
            blank), `"enwik8"` (bytes of Wikipedia), `"sotu"` (State of the Union messages since
            1900, from the Python package `sotu`) or `"text"` (your own files).
        data_dir: A folder of text files; see `read_text_folder`. For `"ptb_character"`, the files
            may be `ptb.char.train.txt`, ...; for `"enwik8"`, there is one, `enwik8`. Without a
            folder, `"ptb"` and `"wikitext2"` are downloaded with TensorFlow Datasets; `"sotu"`
            needs none.
        max_vocabulary_size: Maximum number of words, including `<unk>` and `<eos>`. Defaults to
            10,000 for `"sotu"`, and to no maximum otherwise.
        max_train_tokens: Train on the first N tokens, with the vocabulary of the whole text.
            Defaults to all tokens.
        tfds_data_dir: The data folder of TensorFlow Datasets. Defaults to that library's default.
        tokenizer: The `Tokenizer` of the texts. Defaults to one that splits at whitespace.
        by_frequency: As for `Corpus.from_texts`.

    Returns:
        A `Corpus`.

    Raises:
        InputError: If the corpus is unknown, missing, unreadable or differs from the published one.
    """
    if name not in CORPORA:
        raise InputError(f"The corpus must be one of {CORPORA}. Received: {name!r}")
    if name in _WITHOUT_DOWNLOAD and data_dir is None:
        files = "the file enwik8" if name == "enwik8" else "train.txt, valid.txt and test.txt"
        raise InputError(
            f"The corpus {name!r} needs data_dir, a folder with {files}. Received: data_dir=None"
        )
    if name == "sotu" and data_dir is not None:
        raise InputError(f"The corpus 'sotu' takes no data_dir. Received: data_dir={data_dir}")
    label, max_size = name, max_vocabulary_size
    if name == "sotu":
        texts, source = sotu.read_sotu()
        label, max_size = sotu.NAME, max_size or sotu.VOCABULARY_SIZE
    elif name == "enwik8":
        texts, source = read_enwik8(data_dir)
    elif data_dir is not None:
        file_names = CHARACTER_FILE_NAMES if name == "ptb_character" else FILE_NAMES
        texts, source = read_text_folder(data_dir, file_names), str(data_dir)
    else:
        # Importing TensorFlow Datasets takes seconds.
        from awd_keras.data.tfds_texts import read_tfds_texts

        texts, source = read_tfds_texts(name, _TITLES[name], tfds_data_dir)
    corpus = Corpus.from_texts(label, texts, max_size, source, tokenizer, by_frequency)
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
