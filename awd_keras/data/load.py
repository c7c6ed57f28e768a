"""A corpus by its name."""

import dataclasses
import importlib
import pathlib
import threading
import warnings

from awd_keras.data.corpus import SPLITS, Corpus
from awd_keras.data.sotu import VOCABULARY_SIZE, load_sotu
from awd_keras.data.text_files import read_text_folder
from awd_keras.errors import InputError


@dataclasses.dataclass(frozen=True)
class _Published:
    """A corpus that is not ours to ship, and the numbers by which to know it."""

    title: str
    builder: str
    token_counts: dict
    vocabulary_size: int


# Token counts with `<eos>` at the end of each line, empty lines included.
_PUBLISHED = {
    "ptb": _Published(
        title="Penn Treebank",
        builder="penn_treebank",
        token_counts={"train": 929_589, "validation": 73_760, "test": 82_430},
        vocabulary_size=10_000,
    ),
    "wikitext2": _Published(
        title="WikiText-2",
        builder="wikitext2",
        token_counts={"train": 2_088_628, "validation": 217_646, "test": 245_569},
        vocabulary_size=33_278,
    ),
}
CORPORA = (*_PUBLISHED, "sotu", "text")

# TFDS retries a dead host with growing pauses for minutes; we ask once, for so many seconds.
_PROBE_SECONDS = 5
_PROBE_DEADLINE_SECONDS = 15


def load_corpus(
    name, data_dir=None, max_vocabulary_size=None, max_train_tokens=None, tfds_data_dir=None
):
    """Loads a corpus by its name.

    Args:
        name: "ptb" (Penn Treebank), "wikitext2" (WikiText-2), "sotu" (State of the Union
            messages, which come with a Python package) or "text" (your own files).
        data_dir: A folder of text files, see `read_text_folder`. Without it, "ptb" and
            "wikitext2" are prepared by TensorFlow Datasets.
        max_vocabulary_size: The largest size of the vocabulary, or `None` for no limit (for
            "sotu", 10,000).
        max_train_tokens: The largest number of tokens of the training text, or `None` for all of
            it. The vocabulary is that of the whole text.
        tfds_data_dir: The folder of TensorFlow Datasets, by default its own default.

    Returns:
        A `Corpus`.

    Raises:
        InputError: If there is no such corpus, or its data is missing, unreadable or not what
            it is known to be. Another corpus is never taken in its place.
    """
    corpus = _load_whole(name, data_dir, max_vocabulary_size, tfds_data_dir)
    return corpus if max_train_tokens is None else corpus.truncated(max_train_tokens)


def _load_whole(name, data_dir, max_vocabulary_size, tfds_data_dir):
    if name == "text":
        if data_dir is None:
            raise InputError(
                "The corpus 'text' is your own: pass --data_dir=FOLDER with the files train.txt, "
                "valid.txt and test.txt."
            )
        return _from_folder(name, data_dir, max_vocabulary_size)
    if name == "sotu":
        if data_dir is not None:
            raise InputError(
                "The corpus 'sotu' comes with the Python package sotu and takes no data folder. "
                f"Received: data_dir={str(data_dir)!r}. Leave it out, or pass --corpus=text to "
                "train on the files in it."
            )
        return load_sotu(VOCABULARY_SIZE if max_vocabulary_size is None else max_vocabulary_size)
    if name not in _PUBLISHED:
        raise InputError(f"There is no corpus {name!r}. Expected one of {list(CORPORA)}.")

    if data_dir is not None:
        corpus = _from_folder(name, data_dir, max_vocabulary_size)
        difference = _difference(corpus, max_vocabulary_size)
        if difference:
            warnings.warn(
                f"The text in {data_dir} is not {_PUBLISHED[name].title} as published: "
                f"{difference}. Its perplexities cannot be compared with the paper's.",
                stacklevel=3,
            )
        return corpus
    return _from_tfds(name, max_vocabulary_size, tfds_data_dir)


def is_published(name, token_counts, vocabulary_size):
    """Says whether a corpus, by its numbers, is one with published perplexities to compare with.

    Args:
        name: The name of the corpus.
        token_counts: The number of tokens of each split, as `Corpus.token_counts`, or `None`.
        vocabulary_size: The number of words.

    Returns:
        True or False.

    Example:

    >>> is_published("ptb", {"train": 929_589, "validation": 73_760, "test": 82_430}, 10_000)
    True
    """
    published = _PUBLISHED.get(name)
    return published is not None and (token_counts, vocabulary_size) == (
        published.token_counts,
        published.vocabulary_size,
    )


def _from_folder(name, folder, max_vocabulary_size):
    return Corpus.from_texts(
        name, read_text_folder(folder), max_vocabulary_size, source=str(folder)
    )


def _difference(corpus, max_vocabulary_size):
    """Says how a corpus differs from the published one, or returns an empty string."""
    published = _PUBLISHED[corpus.name]
    differences = [
        f"{corpus.token_counts[split]:,} {split} tokens instead of {count:,}"
        for split, count in published.token_counts.items()
        if corpus.token_counts[split] != count
    ]
    size = len(corpus.vocabulary)
    if max_vocabulary_size is None and size != published.vocabulary_size:
        differences.append(f"{size:,} words instead of {published.vocabulary_size:,}")
    return ", ".join(differences)


def _from_tfds(name, max_vocabulary_size, tfds_data_dir):
    # Imported here, since it takes a while and only this source needs it.
    import tensorflow as tf
    import tensorflow_datasets as tfds

    builder_name = _PUBLISHED[name].builder
    module = importlib.import_module(
        f"awd_keras.data.datasets.{builder_name}.{builder_name}_dataset_builder"
    )
    builder = module.Builder(data_dir=tfds_data_dir)
    if not builder.is_prepared():
        _prepare(name, builder, module)
    # One shard at a time: the lines are read in order.
    read_config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    texts = {}
    try:
        for split in SPLITS:
            dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=read_config)
            batches = tfds.as_numpy(dataset.batch(4096))
            texts[split] = [line.decode("utf-8") for batch in batches for line in batch["text"]]
    except tf.errors.OpError as error:
        reason = " ".join(error.message.split())
        raise InputError(
            f"The data that TensorFlow Datasets prepared in {builder.data_path} cannot be read, "
            f"its {split} text at least ({reason}). Delete that folder and run the same command "
            "again to have it prepared anew, or pass the files by --data_dir=FOLDER."
        ) from error
    corpus = Corpus.from_texts(
        name, texts, max_vocabulary_size, source=f"TFDS {builder.info.full_name}"
    )
    difference = _difference(corpus, max_vocabulary_size)
    if difference:
        raise InputError(
            f"The data that TensorFlow Datasets prepared is not {_PUBLISHED[name].title} as "
            f"published: {difference}. Delete {builder.data_path}, and the files in "
            f"{_manual_folder(builder)} if you put them there, and try again with the "
            "published files."
        )
    return corpus


def _prepare(name, builder, module):
    import tensorflow_datasets as tfds

    manual_folder = _manual_folder(builder)
    if not all((manual_folder / file).is_file() for file in module.FILES.values()):
        problem = _probe(module.PROBE_URL)
        if problem:
            raise InputError(_what_to_do(name, module, manual_folder, problem))
    download_config = tfds.download.DownloadConfig(manual_dir=manual_folder)
    try:
        builder.download_and_prepare(download_config=download_config)
    # Whatever fails in there (download, checksum, archive, disk), the remedy is the same.
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise InputError(_what_to_do(name, module, manual_folder, problem)) from error


def _manual_folder(builder):
    # <TFDS folder>/<builder>/<version>
    return pathlib.Path(builder.data_path).parents[1] / "downloads" / "manual"


def _what_to_do(name, module, manual_folder, problem):
    files = ", ".join(module.FILES.values())
    return (
        f"{_PUBLISHED[name].title} cannot be downloaded from {module.PROBE_URL} ({problem}). "
        "Do one of these:\n"
        f"  - put the files {files} in a folder and pass --data_dir=FOLDER;\n"
        f"  - put them in {manual_folder} and run the same command again;\n"
        "  - train on the corpus that comes with a Python package: --corpus=sotu "
        "(its perplexities are not comparable)."
    )


def _probe(url):
    """Asks once whether a file can be had; returns the problem, or an empty string."""
    import requests

    problem = [f"no answer within {_PROBE_DEADLINE_SECONDS} seconds"]

    def ask():
        try:
            response = requests.head(url, timeout=_PROBE_SECONDS, allow_redirects=True)
        except requests.RequestException as error:
            problem[0] = f"{type(error).__name__}: no connection"
        else:
            problem[0] = "" if response.ok else f"HTTP status {response.status_code}"

    # In a thread, because neither the look-up of a name nor the number of addresses that are
    # tried is bounded by the timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_DEADLINE_SECONDS)
    return problem[0]
