import dataclasses
import threading
import time

import pytest

from awd_keras.data import load, load_corpus
from awd_keras.errors import InputError

TEXTS = {
    "train": " the cat sat \n\n the <unk> sat \n",
    "valid": " a cat \n",
    "test": " the dog \n",
}
TRAIN_TOKENS = 9
VOCABULARY_SIZE = 5


def write(folder, pattern):
    folder.mkdir(parents=True, exist_ok=True)
    for split, text in TEXTS.items():
        (folder / pattern.format(split)).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Sends requests to a port at which nobody listens, as without a network."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tiny_is_genuine(monkeypatch):
    """Makes the tiny text pass for the published corpora."""
    for name, published in load._PUBLISHED.items():
        genuine = dataclasses.replace(
            published,
            token_counts={"train": TRAIN_TOKENS, "validation": 3, "test": 3},
            vocabulary_size=VOCABULARY_SIZE,
        )
        monkeypatch.setitem(load._PUBLISHED, name, genuine)


def test_an_own_text(tmp_path):
    folder = write(tmp_path, "{}.txt")
    corpus = load_corpus("text", data_dir=folder)
    assert corpus.name == "text"
    assert corpus.source == str(folder)
    assert corpus.token_counts == {"train": TRAIN_TOKENS, "validation": 3, "test": 3}
    assert len(corpus.vocabulary) == VOCABULARY_SIZE
    limited = load_corpus("text", data_dir=folder, max_vocabulary_size=3)
    assert len(limited.vocabulary) == 3


def test_an_own_text_needs_a_folder():
    with pytest.raises(InputError, match="--data_dir=FOLDER"):
        load_corpus("text")


def test_an_unknown_corpus():
    with pytest.raises(InputError, match=r"'ptp'.*\['ptb', 'wikitext2', 'sotu', 'text'\]"):
        load_corpus("ptp")


def test_sotu_takes_no_folder(tmp_path):
    with pytest.raises(InputError, match="takes no data folder.*--corpus=text"):
        load_corpus("sotu", data_dir=tmp_path)


def test_sotu_sizes():
    assert len(load_corpus("sotu").vocabulary) == 10_000
    assert len(load_corpus("sotu", max_vocabulary_size=500).vocabulary) == 500


@pytest.mark.parametrize(
    "name, pattern", [("ptb", "ptb.{}.txt"), ("ptb", "{}.txt"), ("wikitext2", "wiki.{}.tokens")]
)
def test_a_folder_with_another_text_is_warned_of(tmp_path, name, pattern):
    folder = write(tmp_path, pattern)
    with pytest.warns(UserWarning, match="9 train tokens instead of .*5 words instead of"):
        corpus = load_corpus(name, data_dir=folder)
    assert corpus.name == name


def test_a_folder_with_the_published_text_is_not(tmp_path, tiny_is_genuine, recwarn):
    folder = write(tmp_path, "ptb.{}.txt")
    load_corpus("ptb", data_dir=folder)
    # A limited vocabulary is smaller than the published one on purpose.
    load_corpus("ptb", data_dir=folder, max_vocabulary_size=3)
    assert not recwarn.list


@pytest.mark.parametrize(
    "name, file", [("ptb", "ptb.train.txt"), ("wikitext2", "wiki.train.tokens")]
)
def test_without_a_network_the_error_says_what_to_do(tmp_path, no_network, name, file):
    start = time.monotonic()
    with pytest.raises(InputError, match="cannot be downloaded") as error:
        load_corpus(name, tfds_data_dir=tmp_path)
    assert time.monotonic() - start < 30
    message = str(error.value)
    assert file in message
    assert "--data_dir=FOLDER" in message
    assert str(tmp_path / "downloads" / "manual") in message
    assert "--corpus=sotu" in message


def test_a_host_that_never_answers_is_given_up(monkeypatch):
    import requests

    released = threading.Event()

    def hang(*args, **kwargs):
        released.wait()
        raise requests.ConnectionError

    monkeypatch.setattr(load, "_PROBE_DEADLINE_SECONDS", 0.05)
    monkeypatch.setattr(requests, "head", hang)
    try:
        assert load._probe("https://example.com") == "no answer within 0.05 seconds"
    finally:
        released.set()


@pytest.mark.parametrize("status, problem", [(200, ""), (403, "HTTP status 403")])
def test_the_answer_of_a_host(monkeypatch, status, problem):
    import requests

    response = requests.Response()
    response.status_code = status
    monkeypatch.setattr(requests, "head", lambda *args, **kwargs: response)
    assert load._probe("https://example.com") == problem


@pytest.mark.parametrize("name, pattern", [("ptb", "ptb.{}.txt"), ("wikitext2", "wiki.{}.tokens")])
def test_tfds_prepares_from_the_manual_folder(tmp_path, no_network, tiny_is_genuine, name, pattern):
    manual = write(tmp_path / "downloads" / "manual", pattern)
    corpus = load_corpus(name, tfds_data_dir=tmp_path)
    words = corpus.vocabulary.decode(corpus.train)
    assert words == "the cat sat <eos> <eos> the <unk> sat <eos>".split()
    assert corpus.unknown_counts == {"train": 0, "validation": 1, "test": 1}
    assert corpus.source.startswith("TFDS ")
    # What is prepared is used without its sources.
    for path in manual.iterdir():
        path.unlink()
    again = load_corpus(name, tfds_data_dir=tmp_path)
    assert again.vocabulary == corpus.vocabulary


def test_tfds_with_another_text_is_refused(tmp_path, no_network):
    write(tmp_path / "downloads" / "manual", "ptb.{}.txt")
    with pytest.raises(InputError, match="not Penn Treebank as published: 9 train.*Delete"):
        load_corpus("ptb", tfds_data_dir=tmp_path)


def test_what_fails_in_tfds_says_what_to_do(tmp_path, no_network):
    manual = write(tmp_path / "downloads" / "manual", "ptb.{}.txt")
    (manual / "ptb.test.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"(?s)InputError: .*not UTF-8.*--data_dir=FOLDER"):
        load_corpus("ptb", tfds_data_dir=tmp_path)


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_prepared_data_set_says_what_to_do(tmp_path, no_network, tiny_is_genuine, damage):
    write(tmp_path / "downloads" / "manual", "ptb.{}.txt")
    load_corpus("ptb", tfds_data_dir=tmp_path)
    (file,) = (tmp_path / "penn_treebank").rglob("*-validation.*")
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-3] if damage == "cut" else content[:-6] + b"xxxxxx")
    expected = "validation text.*Delete that folder.*--data_dir"
    with pytest.raises(InputError, match=expected) as error:
        load_corpus("ptb", tfds_data_dir=tmp_path)
    assert str(file.parent) in str(error.value) and "\n" not in str(error.value)
