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


def test_lines_come_back_in_order_from_the_manual_folder(tmp_path):
    lines = [f" line {number} " if number % 3 else "" for number in range(2000)]
    manual = tmp_path / "manual"
    manual.mkdir()
    for name in wikitext2_dataset_builder.FILES.values():
        (manual / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    builder = wikitext2_dataset_builder.Builder(data_dir=tmp_path / "tfds")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
    for split in ("train", "validation", "test"):
        dataset = builder.as_dataset(split=split)
        assert [example["text"].decode() for example in tfds.as_numpy(dataset)] == lines
