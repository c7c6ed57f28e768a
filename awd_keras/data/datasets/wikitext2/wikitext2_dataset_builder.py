"""WikiText-2."""

from awd_keras.data.datasets.text_builder import TextBuilder


class Builder(TextBuilder):
    """Builds WikiText-2 for word-level language models: `tfds.load("wikitext2")`.

    The checksum of the archive is not registered; `load_corpus` checks the numbers of tokens and
    words instead. Empty lines are examples, since they count as one `<eos>` each.
    """

    FILES = {
        "train": "wiki.train.tokens",
        "validation": "wiki.valid.tokens",
        "test": "wiki.test.tokens",
    }
    HOMEPAGE = "https://wikitext.smerity.com"
    URL = "https://wikitext.smerity.com/wikitext-2-v1.zip"

    def download(self, dl_manager):
        folder = dl_manager.download_and_extract(self.URL) / "wikitext-2"
        return {split: folder / name for split, name in self.FILES.items()}
