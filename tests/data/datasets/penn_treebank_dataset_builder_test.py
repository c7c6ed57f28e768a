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
    # Names that differ from those of the manual folder, so that the files are downloaded.
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
        self.assertEqual(names, set(penn_treebank_dataset_builder.Builder.FILES.values()))
        self.assertEqual(
            {info.size for info in infos.values()},
            {5_101_618, 399_782, 449_945},
        )


def test_the_manual_folder_is_read_in_order(tmp_path):
    lines = [f" line {number} " if number % 3 else "" for number in range(2000)]
    manual = tmp_path / "manual"
    manual.mkdir()
    for name in penn_treebank_dataset_builder.Builder.FILES.values():
        (manual / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    builder = penn_treebank_dataset_builder.Builder(data_dir=tmp_path / "tfds")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
    for split in ("train", "validation", "test"):
        dataset = builder.as_dataset(split=split)
        assert [example["text"].decode() for example in tfds.as_numpy(dataset)] == lines
