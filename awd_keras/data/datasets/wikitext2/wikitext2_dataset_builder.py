"""WikiText-2, one example a line."""

import tensorflow_datasets as tfds

from awd_keras.data.text_files import read_lines

FILES = {
    "train": "wiki.train.tokens",
    "validation": "wiki.valid.tokens",
    "test": "wiki.test.tokens",
}
PROBE_URL = "https://wikitext.smerity.com/wikitext-2-v1.zip"


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds WikiText-2 as a corpus for word-level language models.

    The checksum of the archive is not registered, since its host was out of reach when this was
    written; `load_corpus` checks the numbers of tokens and words instead.

    Example:

    ```python
    from awd_keras.data.datasets.wikitext2 import wikitext2_dataset_builder
    lines = tfds.load("wikitext2", split="train", shuffle_files=False)
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The archive is downloaded. If its host cannot be reached, put wiki.train.tokens, "
        "wiki.valid.tokens and wiki.test.tokens of wikitext-2-v1.zip in the manual folder."
    )

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            supervised_keys=None,
            # A text is read in order, and TFDS shuffles by default when it writes.
            disable_shuffling=True,
            homepage="https://wikitext.smerity.com",
        )

    def _split_generators(self, dl_manager):
        # Files that somebody put there by hand come first: they need no network.
        try:
            folder = dl_manager.manual_dir
        except AssertionError:  # there is no such folder
            folder = None
        if folder is None or not all((folder / name).exists() for name in FILES.values()):
            folder = dl_manager.download_and_extract(PROBE_URL) / "wikitext-2"
        return {split: self._generate_examples(folder / name) for split, name in FILES.items()}

    def _generate_examples(self, path):
        # Empty lines are kept: each counts as one `<eos>` in the published token counts.
        for number, line in enumerate(read_lines(path)):
            yield number, {"text": line}
