"""Tests of the client's command, as a user types it, against `serving.local`."""

import functools
import io
import subprocess
import sys

import pytest

from serving import client_command
from serving.status import StatusError
from tests.serving import tiny_model
from tests.serving.conftest import ROOT
from tests.trainers.in_process import assert_one_line, run_command


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture
def command(capfd, local, monkeypatch):
    """Runs `python -m serving.client` with these bytes on standard input."""

    def run(*arguments, stdin=b"", server=local.rest, stream=io.TextIOWrapper):
        monkeypatch.setattr(sys, "stdin", stream(io.BytesIO(stdin)))
        name = (
            () if any(a.startswith("--model_name") for a in arguments) else ("--model_name=tiny",)
        )
        return run_command(capfd, "serving.client", *arguments, *name, f"--server={server}")

    return run


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join(tiny_model.WORDS) + "\n", encoding="utf-8")
    return path


class TestScore:
    def rows(self, *texts):
        scores = [tiny_model.score(text) for text in texts]
        return [(pytest.approx(p, rel=1e-5), str(n), str(u)) for p, n, u in scores]

    def parsed(self, stdout):
        rows = [line.split("\t") for line in stdout.splitlines()]
        return [(float(row[0]), row[1], row[2]) for row in rows]

    def test_texts_as_arguments(self, command):
        ended = command("score", "w1 w2", "dog café")
        assert (ended.code, ended.stderr) == (0, "")
        assert self.parsed(ended.stdout) == self.rows("w1 w2", "dog café")
        assert all(len(line.split("\t")) == 4 for line in ended.stdout.splitlines())

    @pytest.mark.parametrize("batch_size", [1, 2, 64])
    def test_lines_of_standard_input(self, command, batch_size):
        stdin = "w1 w2\n\ncafé\tw3".encode()
        ended = command("score", "--text", f"--batch_size={batch_size}", stdin=stdin)
        assert self.parsed(ended.stdout) == self.rows("w1 w2", "", "café w3")
        assert [line.split("\t")[4] for line in ended.stdout.splitlines()] == [
            "w1 w2",
            "",
            "café w3",
        ]

    def test_a_line_that_is_not_utf8_is_named_and_the_others_are_scored(self, command):
        ended = command("score", stdin=b"w1\ncaf\xe9\nw2\n")
        lines = ended.stdout.splitlines()
        assert lines[1] == "nan\t0\t0\tnan"
        assert self.parsed("\n".join([lines[0], lines[2]])) == self.rows("w1", "w2")
        assert ended.code == 1
        assert ended.stderr == (
            "error: not UTF-8, without an answer: text 2. The others have theirs.\n"
        )

    @pytest.mark.parametrize("protocol", ["rest", "grpc"])
    def test_a_line_above_a_limit_is_named_and_the_others_are_scored(
        self, command, local, protocol
    ):
        texts = ["w1", "w2 " * 1025, "w3", "", "a" * 70_000, "w1 w2"]
        stdin = "\n".join(texts).encode() + b"\n\xe9\n"
        ended = command("score", stdin=stdin, server=local.addresses()[protocol])
        lines = ended.stdout.splitlines()
        assert [number for number, line in enumerate(lines, 1) if line == "nan\t0\t0\tnan"] == [
            2,
            5,
            7,
        ]
        answered = [line for line in lines if not line.startswith("nan")]
        assert self.parsed("\n".join(answered)) == self.rows("w1", "w3", "", "w1 w2")
        assert ended.code == 1
        assert ended.stderr == (
            "error: not UTF-8, without an answer: text 7; refused, without an answer: text 2, 5 "
            "(text 2: a `text` may have 1024 words at most, received 1025). The others have "
            "theirs.\n"
        )

    def test_what_is_wrong_with_no_row_is_asked_once(self, command):
        class Refuses:
            asked = 0

            def score(self, texts):
                self.asked += 1
                raise StatusError("INVALID_ARGUMENT", "a request may have 3 rows at most.")

        client = Refuses()
        with pytest.raises(StatusError, match="3 rows"):
            client_command._scores(client, ["a"] * 8)
        assert client.asked == 1

    def test_grpc(self, command, local):
        ended = command("score", "w1", server=local.grpc)
        assert self.parsed(ended.stdout) == self.rows("w1")


class TestNext:
    LINES = b"w1 w2\nw3\n\ndog\n"
    SENTENCES = ("", "w1 w2", "w1 w2 w3", "", "dog")

    @pytest.mark.parametrize("carries_state", [False, True])
    def test_suggestions_follow_what_was_typed(self, command, vocabulary, carries_state):
        flags = [f"--vocabulary={vocabulary}"] if carries_state else []
        ended = command("next", "--k=3", *flags, stdin=self.LINES)
        assert (ended.code, ended.stderr) == (0, "")
        expected = [[word for word, _ in tiny_model.next_words(s, 3)] for s in self.SENTENCES]
        assert [line.split("\t") for line in ended.stdout.splitlines()] == expected

    def test_at_a_terminal_a_number_takes_a_suggestion(self, command):
        ended = command("next", "--k=2", stdin=b"w1\n2\n", stream=Terminal)
        second = tiny_model.next_words("w1", 2)[1][0]
        assert f"> w1 {second} ...  [1 " in ended.stdout

    def test_a_vocabulary_of_another_model(self, command, tmp_path):
        path = tmp_path / "words.txt"
        path.write_text("<eos>\n<unk>\na\n")
        said = f"has 3 words, the model {len(tiny_model.WORDS)}"
        assert_one_line(command("next", f"--vocabulary={path}"), said)
        assert_one_line(command("next", f"--vocabulary={tmp_path / 'no'}"), "No such file")


class TestGenerate:
    def test_settings_arrive(self, command):
        ended = command("generate", "w1", "--temperature=0", "--max_words=1")
        assert ended.stdout == f"w1 {tiny_model.next_words('w1', 1)[0][0]}\n"
        flags = "--seed=5", "--max_words=9", "--top_k=4", "--top_p=0.9"
        ended = command("generate", *flags, stdin=b"w2\n\n")
        assert ended.stdout == command("generate", "w2", "", *flags).stdout
        assert len(ended.stdout.splitlines()) == 2


class TestBadInput:
    def test_one_line(self, command):
        assert_one_line(command(), "expected one of score, next, generate. Received: None")
        assert_one_line(command("explain"), "Received: explain")
        assert_one_line(command("score", "w1", "--model_name=no"), "NOT_FOUND: ")
        assert_one_line(command("score", "w1", "--version=9"), "Specific(tiny, 9)")
        assert_one_line(command("score", "w1", "--version=1", "--label=stable"), "not both")
        assert_one_line(
            command("generate", "w1", "--max_words=100000"), "`max_words` must be from 1"
        )
        assert_one_line(command("score", "w1", "--deadline=0"), "deadline must be above 0")

    def test_no_server(self, command):
        command = functools.partial(command, "score", "w1", "--max_attempts=1")
        hint = "Start one, such as `python -m serving.local`, or name another address."
        ended = command(server="http://127.0.0.1:1")
        said = "no server answers at http://127.0.0.1:1 (Connection refused). "
        assert_one_line(ended, f"error: UNAVAILABLE: {said}{hint}\n")
        assert_one_line(command(server="127.0.0.1:1"), "no server answers (", hint)
        assert_one_line(command(server="localhost"), "expected a server as http://host:port")


def test_rest_needs_no_tensorflow(local):
    code = (
        "import sys; from serving.client import Client\n"
        f"client = Client({local.rest!r}, 'tiny')\n"
        "print(client.score(['w1'])[0].num_tokens)\n"
        "assert 'tensorflow' not in sys.modules"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout) == (0, "2\n"), ended.stderr
