import hashlib

import pytest

from awd_keras.data import Tokenizer, enwik8, load_corpus
from awd_keras.errors import InputError

CONTENT = "a é\n\n".encode() + b"x\r\n\x85\xa0b" * 5 + b"ab\xff\n"


def write(folder, monkeypatch, content=CONTENT):
    assert len(CONTENT) == 40
    monkeypatch.setattr(enwik8, "_SIZE", len(CONTENT))
    monkeypatch.setattr(enwik8, "_SHA256", hashlib.sha256(CONTENT).hexdigest())
    (folder / "enwik8").write_bytes(content)
    return folder


def test_tokens_are_bytes(tmp_path, monkeypatch):
    folder = write(tmp_path, monkeypatch)
    corpus = load_corpus("enwik8", folder, tokenizer=Tokenizer("character"))
    texts = (corpus.train, corpus.validation, corpus.test)
    train, validation, test = (corpus.vocabulary.decode(ids) for ids in texts)
    expected = ["<eos>" if byte == 10 else chr(byte) for byte in CONTENT[:36]]
    # As in the authors' code, the end of a text is the end of a line.
    assert train == [*expected, "<eos>"]
    assert (validation, test) == (["a", "b", "<eos>"], ["<unk>", "<eos>"])
    assert corpus.vocabulary.has_only_characters


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[::-1]])
def test_another_file(tmp_path, monkeypatch, content):
    folder = write(tmp_path, monkeypatch, content)
    with pytest.raises(InputError, match=f"must be enwik8: 40 bytes.*Received: {len(content)} by"):
        load_corpus("enwik8", folder)
