import functools
import io
import sys

import pytest

from serving.server import Server
from tests.serving.exported import exported
from tests.trainers.in_process import assert_one_line, run_command


@pytest.fixture(scope="module")
def server():
    with Server(exported().path) as server:
        yield server


@pytest.fixture
def client(capfd, server):
    flags = f"--server={server.grpc_address}", "--model_name=tiny"
    return functools.partial(run_command, capfd, "serving.client", *flags)


def test_score(client, monkeypatch):
    ended = client("score", "w1 dog", "")
    assert (ended.code, ended.stderr) == (0, "")
    rows = [line.split("\t") for line in ended.stdout.splitlines()]
    for row, text, num_tokens, num_unknown in zip(rows, ["w1 dog", ""], ["3", "1"], ["1", "0"]):
        assert float(row[0]) == pytest.approx(exported().score(text), abs=1e-4)
        assert row[1:3] == [num_tokens, num_unknown]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"w1 dog\n\n")))
    lines = client("score", "--text", "--batch_size=1").stdout.splitlines()
    assert lines == ["\t".join([*row, text]) for row, text in zip(rows, ["w1 dog", ""])]


def test_next(client):
    ended = client("next", "w1 w2", "--k=3")
    assert len(ended.stdout.rstrip("\n").split("\t")) == 3


def test_generate(client):
    ended = client("generate", "w1", "--max_words=3", "--seed=4", "--top_k=5")
    assert ended.stdout.startswith("w1") and len(ended.stdout.split()) <= 4


def test_errors(client, server):
    assert_one_line(client("scores"), "score, next, generate", "Received: scores")
    ended = client("score", "w1", b"caf\xe9".decode(errors="surrogateescape"))
    assert_one_line(ended, server.grpc_address, "INVALID_ARGUMENT", "valid UTF-8. Row:] [1]")
