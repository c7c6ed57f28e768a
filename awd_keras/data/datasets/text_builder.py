"""Base class of the dataset builders: each line of a text is an example."""

import tensorflow_datasets as tfds

from awd_keras.data.text_files import read_lines


class TextBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builds a dataset from three text files, downloaded or in the manual folder.

    Subclasses define `FILES` (the file names by split), `HOMEPAGE`, and `download(dl_manager)`,
    which returns the paths of the downloaded files by split.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Files in the manual folder are used instead of a download."

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            supervised_keys=None,
            disable_shuffling=True,  # keep the order of the lines
            homepage=self.HOMEPAGE,
        )

    def _split_generators(self, dl_manager):
        try:
            paths = {split: dl_manager.manual_dir / name for split, name in self.FILES.items()}
        except AssertionError:  # there is no manual folder
            paths = {}
        if not paths or not all(path.exists() for path in paths.values()):
            paths = self.download(dl_manager)
        return {split: self._generate_examples(path) for split, path in paths.items()}

    def _generate_examples(self, path):
        for index, line in enumerate(read_lines(path)):
            yield index, {"text": line}
