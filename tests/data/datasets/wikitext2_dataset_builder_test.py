import pathlib
import tempfile

import tensorflow_datasets as tfds

from awd_keras.data.datasets.wikitext2 import wikitext2_dataset_builder

TEXTS = {
    "wiki.train.tokens": " \n = A title = \n \n The text of <unk> . \n",
    "wiki.valid.tokens": " \n = Another = \n",
    "wiki.test.tokens": " = Last = \n",
}


class Wikitext2Test(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = wikitext2_dataset_builder.Builder
    # Empty lines are examples too.
    SPLITS = {"train": 4, "validation": 2, "test": 1}
    OVERLAPPING_SPLITS = ["train", "validation"]  # they share an empty line
    # The archive's checksum is not known; `load_corpus` counts tokens instead.
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.EXAMPLE_DIR = folder.name
        archive = pathlib.Path(folder.name) / "wikitext-2"
        archive.mkdir()
        for name, text in TEXTS.items():
            (archive / name).write_text(text, encoding="utf-8")
        super().setUpClass()
