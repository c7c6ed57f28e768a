"""End-to-end tests of `trainers.score`."""

import functools
import io
import math
import sys

import pytest

from awd_keras.bundled_model import describe_bundled_model
from awd_keras.evaluation import LineScorer
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run
from trainers.training import factory

LINES = ["w1 w2 w3", "", "w1 dog", "caf\xe9 \t w4 <unk>", "w5"]


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, "trainers.score")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns `(workdir, scores of LINES)`."""
    workdir = tmp_path_factory.mktemp("run") / "run"
    return workdir, list(LineScorer(*make_run(workdir)).score(LINES))


def assert_rows(text, scores):
    """Asserts that the rows have the scores, and returns what follows them."""
    rows = [line.split("\t") for line in text.splitlines()]
    assert [float(row[0]) for row in rows] == pytest.approx([s[0] for s in scores], rel=1e-5)
    assert [(int(row[1]), int(row[2])) for row in rows] == [score[1:] for score in scores]
    return [row[3:] for row in rows]


def test_file(command, run, tmp_path):
    workdir, scores = run
    file, output = tmp_path / "lines.txt", tmp_path / "scores.tsv"
    file.write_text("\ufeff" + "\r\n".join(LINES) + "\n", "utf-8")
    ended = command(f"--workdir={workdir}", f"--output={output}", file)
    assert (ended.code, ended.stdout) == (0, "")
    assert_rows(output.read_text(), scores)
    perplexity = math.exp(-sum(score.log_probability for score in scores) / 14)
    assert ended.stderr == f"14 tokens, 1 unknown words, perplexity {perplexity:.2f}\n"


def test_empty_lines_have_the_score_of_their_end(command, run, tmp_path):
    workdir, scores = run
    file = tmp_path / "lines.txt"
    file.write_text("\n \n")
    ended = command(f"--workdir={workdir}", file)
    assert ended.code == 0
    assert_rows(ended.stdout, [scores[1]] * 2)
    assert scores[1].num_tokens == 1 and math.isfinite(scores[1].log_probability)


def test_standard_input(command, run, monkeypatch):
    workdir, scores = run
    content = "\n".join(LINES).encode() + b"\nw1 \xff\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    ended = command(f"--workdir={workdir}", "--text", "--block_lines=1", "-")
    assert ended.code == 0
    # What is not UTF-8 is an unknown word, and is printed unchanged.
    stdout = ended.stdout.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    texts = assert_rows(stdout, [*scores, scores[2]])
    assert texts == [[line.replace("\t", " ")] for line in [*LINES, "w1 \ufffd"]]


def test_bundled_model(command, tmp_path):
    lines = ["the congress of the united states", "we"]
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(lines) + "\n")
    ended = command(file)
    model, vocabulary, _ = factory.load_model()
    assert_rows(ended.stdout, list(LineScorer(model, vocabulary).score(lines)))
    assert ended.stderr.startswith(describe_bundled_model() + "\n9 tokens, 0 unknown words")


def test_nbest(command, run, tmp_path):
    workdir, scores = run
    file = tmp_path / "lists.txt"
    given = {LINES[0]: -12.0, LINES[2]: -9.0, "": -10.0}
    lines = [f"a ||| {text} ||| {score}\n" for text, score in given.items()]
    file.write_text("".join([*lines, "b ||| w5 ||| 1\n"]))
    ended = command(f"--workdir={workdir}", "--nbest", "--lm_weight=0.25", file)
    assert (ended.code, ended.stderr) == (0, "")
    rows = [tuple(map(str.strip, line.split("|||"))) for line in ended.stdout.splitlines()]
    assert [row[0] for row in rows] == ["a", "a", "a", "b"]
    for _, text, score in rows:
        expected = 0.75 * given.get(text, 1) + 0.25 * scores[LINES.index(text)].log_probability
        assert float(score) == pytest.approx(expected, rel=1e-5)
    totals = [float(row[2]) for row in rows[:3]]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--nbest"], "Line 1: expected id ||| text ||| score"),
        (["--lm_weight=0.5"], "--lm_weight has no effect without --nbest"),
        (["--nbest", "--text"], "--text has no effect with --nbest"),
        (["--output=nowhere/x"], "No such file or directory: "),
        (["missing.txt"], "Expected at most 1 arguments"),
    ],
)
def test_bad_input(command, run, tmp_path, arguments, message):
    file = tmp_path / "lines.txt"
    file.write_text("w1\n")
    assert_one_line(command(f"--workdir={run[0]}", *arguments, file), message)
