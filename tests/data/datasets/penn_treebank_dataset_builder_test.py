import pathlib
import tempfile

import tensorflow_datasets as tfds

from awd_keras.data.datasets.penn_treebank import penn_treebank_dataset_builder

TEXTS = {
    "train": " the <unk> sat \n N cats \n a dog barked \n",
    "validation": " a cat \n the dog \n",
    "test": " the <unk> barked \n",
}


class PennTreebankTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = penn_treebank_dataset_builder.Builder
    SPLITS = {"train": 3, "validation": 2, "test": 1}
    # Not the names of the manual folder's files, so that the download is what runs.
    DL_DOWNLOAD_RESULT = {split: f"downloaded_{split}" for split in TEXTS}

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.EXAMPLE_DIR = folder.name
        for split, text in TEXTS.items():
            (pathlib.Path(folder.name) / f"downloaded_{split}").write_text(text, encoding="utf-8")
        super().setUpClass()

    def test_urls_are_named_after_files(self):
        infos = self.builder.url_infos
        names = {url.rsplit("/", 1)[1] for url in infos}
        self.assertEqual(names, set(penn_treebank_dataset_builder.FILES.values()))
        self.assertEqual(
            {info.size for info in infos.values()},
            {5_101_618, 399_782, 449_945},
        )


