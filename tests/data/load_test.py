import pytest

from awd_keras.data import load, load_corpus
from awd_keras.errors import InputError

TEXTS = {
    "train": " the cat sat \n\n the <unk> sat \n",
    "valid": " a cat \n",
    "test": " the dog \n",
}
TOKEN_COUNTS = {"train": 9, "validation": 3, "test": 3}


def write(folder, pattern):
    folder.mkdir(parents=True, exist_ok=True)
    for split, text in TEXTS.items():
        (folder / pattern.format(split)).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Sends requests to a port that is closed."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tiny_is_published(monkeypatch):
    """Makes the tiny text the published one."""
    for name in ("ptb", "wikitext2"):
        monkeypatch.setitem(load._PUBLISHED, name, (TOKEN_COUNTS, 5))


def test_your_own_text(tmp_path):
    folder = write(tmp_path, "{}.txt")
    corpus = load_corpus("text", folder)
    assert (corpus.name, corpus.source) == ("text", str(folder))
    assert corpus.token_counts == TOKEN_COUNTS
    assert len(corpus.vocabulary) == 5
    limited = load_corpus("text", folder, max_vocabulary_size=3, max_train_tokens=4)
    assert len(limited.vocabulary) == 3
    assert limited.token_counts["train"] == 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["text"], "'text' needs data_dir, a folder with train.txt.*Received: data_dir=None"),
        (["enwik8"], "'enwik8' needs data_dir, a folder with the file enwik8"),
        (["ptp"], r"one of \('ptb', 'wikitext2', .*'text'\). Received: 'ptp'"),
        (["sotu", "folder"], "'sotu' takes no data_dir. Received: data_dir=folder"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        load_corpus(*arguments)


def test_characters_of_penn_treebank(tmp_path, recwarn):
    write(tmp_path, "ptb.{}.txt")  # in the same archive
    for split in TEXTS:
        (tmp_path / f"ptb.char.{split}.txt").write_text(" a _ c a t \n t a c \n")
    corpus = load_corpus("ptb_character", tmp_path)
    assert corpus.vocabulary.words == ("a", "_", "c", "t", "<eos>")
    assert corpus.vocabulary.has_only_characters
    assert not load_corpus(
        "text", write(tmp_path / "words", "{}.txt")
    ).vocabulary.has_only_characters
    assert not recwarn.list


@pytest.mark.parametrize("name, pattern", [("ptb", "ptb.{}.txt"), ("wikitext2", "wiki.{}.tokens")])
def test_another_text_in_place_of_the_published_one(tmp_path, name, pattern):
    folder = write(tmp_path, pattern)
    with pytest.warns(UserWarning, match="Expected: .*Received: {'train': 9,.*, 5 words"):
        assert load_corpus(name, folder).name == name


def test_the_published_text(tmp_path, tiny_is_published, recwarn):
    folder = write(tmp_path, "ptb.{}.txt")
    load_corpus("ptb", folder)
    load_corpus("ptb", folder, max_vocabulary_size=3)
    assert not recwarn.list


def test_tfds_without_a_network(tmp_path, no_network):
    with pytest.raises(InputError, match=r"cannot be downloaded from .*ptb.train.txt.*data_dir"):
        load_corpus("ptb", tfds_data_dir=tmp_path)


@pytest.mark.parametrize("name, pattern", [("ptb", "ptb.{}.txt"), ("wikitext2", "wiki.{}.tokens")])
def test_tfds_prepares_files_of_the_manual_folder(
    tmp_path, no_network, tiny_is_published, name, pattern
):
    manual = write(tmp_path / "downloads" / "manual", pattern)
    corpus = load_corpus(name, tfds_data_dir=tmp_path)
    words = corpus.vocabulary.decode(corpus.train)
    assert words == "the cat sat <eos> <eos> the <unk> sat <eos>".split()
    assert corpus.unknown_counts == {"train": 0, "validation": 1, "test": 1}
    assert corpus.source.startswith("TFDS ")
    for path in manual.iterdir():
        path.unlink()
    assert load_corpus(name, tfds_data_dir=tmp_path).digest == corpus.digest


def test_tfds_prepared_another_text(tmp_path, no_network):
    write(tmp_path / "downloads" / "manual", "ptb.{}.txt")
    with pytest.raises(InputError, match="not the published Penn Treebank.*'train': 9,.*Delete"):
        load_corpus("ptb", tfds_data_dir=tmp_path)
