"""Tests of the command that scores lines, as a user types it."""

import functools
import math
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from awd_keras.evaluation import LineScorer
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run
from trainers.training import bundled

MODULE = "trainers.score"
ROOT = pathlib.Path(__file__).absolute().parents[2]
LINES = ["w1 w2 w3", "", "w1 dog", "caf\xe9 \t w4 <unk>", "w5"]


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, MODULE)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """`(workdir, expected rows of LINES)`."""
    workdir = tmp_path_factory.mktemp("run") / "run"
    scorer = LineScorer(*make_run(workdir))
    rows = [(s.log_probability, s.num_words, s.num_unknown) for s in scorer.score(LINES)]
    rows[1] = (math.nan, 0, 0)
    return workdir, rows


def parse(text):
    """Rows as tuples; what follows the numbers stays a string."""
    rows = [line.split("\t") for line in text.splitlines()]
    return [(float(row[0]), int(row[1]), int(row[2]), *row[3:]) for row in rows]


def assert_rows(rows, expected):
    assert [row[1:3] for row in rows] == [row[1:3] for row in expected]
    for row, other in zip(rows, expected):
        assert row[0] == pytest.approx(other[0], rel=1e-5, nan_ok=True)


def test_a_file(command, run, tmp_path):
    workdir, expected = run
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES) + "\n", "utf-8")
    ended = command(f"--workdir={workdir}", str(file))
    assert ended.code == 0, ended
    assert_rows(parse(ended.stdout), expected)
    perplexity = math.exp(-sum(row[0] for row in expected if row[1]) / 13)
    assert ended.stderr == (
        f"13 words, 1 of them unknown: perplexity {perplexity:.2f}\n"
        "warning: line 2 is empty, without a score\n"
    )


def test_without_a_run_the_bundled_model_scores(command, tmp_path):
    lines = ["the congress of the united states", "we"]
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    ended = command(str(file))
    assert ended.code == 0, ended
    scores = LineScorer(*bundled.load_model()[:2]).score(lines)
    assert_rows(parse(ended.stdout), [(s.log_probability, s.num_words, 0) for s in scores])
    assert ended.stderr.startswith(bundled.describe() + "\n9 words, 0 of them unknown: perplexity")


def test_standard_input_line_by_line(run):
    """An answer to each line before the next is asked."""
    workdir, expected = run
    arguments = [f"--workdir={workdir}", "--block_lines=1", "--text", "-"]
    with subprocess.Popen(
        [sys.executable, "-m", MODULE, *arguments],
        cwd=ROOT,
        text=True,
        encoding="utf-8",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        rows = ""
        for line in LINES:
            print(line, file=process.stdin, flush=True)
            rows += process.stdout.readline()
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert rest == ""
    assert_rows(parse(rows), expected)
    assert [row[3] for row in parse(rows)] == [line.replace("\t", " ") for line in LINES]


def test_lines_that_are_not_utf8_are_named_and_the_others_scored(command, run, tmp_path):
    workdir, expected = run
    lines = [line.encode() for line in LINES]
    file, output = tmp_path / "lines.txt", tmp_path / "scores.tsv"
    file.write_bytes(b"\n".join([lines[0], b"caf\xe9", *lines[1:], b"\xff"]))
    ended = command(f"--workdir={workdir}", f"--output={output}", str(file))
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr.endswith(
        "warning: line 3 is empty, without a score\n"
        "error: lines 2, 7 are not UTF-8, without a score; the others have theirs\n"
    )
    bad = (math.nan, 0, 0)
    assert_rows(parse(output.read_text()), [expected[0], bad, *expected[1:], bad])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines.txt", "scores.tsv"]


def test_many_bad_lines_make_one_short_line(command, run, tmp_path):
    file = tmp_path / "lines.txt"
    file.write_bytes(b"\n" * 1000)
    ended = command(f"--workdir={run[0]}", str(file))
    assert ended.code == 0
    assert ended.stdout == "nan\t0\t0\n" * 1000
    assert ended.stderr == (
        f"warning: lines {', '.join(map(str, range(1, 21)))} and 980 more are empty, "
        "without a score\n"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_as_output_stays_one(command, run, tmp_path):
    file, pipe, read = tmp_path / "lines.txt", tmp_path / "pipe", []
    file.write_text("w1\n")
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert command(f"--workdir={run[0]}", f"--output={pipe}", str(file)).code == 0
    reader.join(timeout=10)
    assert pipe.is_fifo() and read[0].count("\n") == 1


def test_nbest(command, run, tmp_path):
    workdir, expected = run
    file = tmp_path / "lists.txt"
    scores = {LINES[0]: -12.0, LINES[2]: -9.0, "": -10.0}
    file.write_text(
        "".join(f"a ||| {text} ||| {score}\n" for text, score in scores.items())
        + "b ||| w5 ||| 1\n"
    )
    ended = command(f"--workdir={workdir}", "--nbest", "--lm_weight=0.25", str(file))
    assert ended.code == 0, ended
    rows = [tuple(map(str.strip, line.split("|||"))) for line in ended.stdout.splitlines()]
    assert [row[0] for row in rows] == ["a", "a", "a", "b"]
    found = {text: float(score) for _, text, score in rows}
    for index in (0, 2):
        total = 0.75 * scores[LINES[index]] + 0.25 * expected[index][0]
        assert found[LINES[index]] == pytest.approx(total, rel=1e-5)
    assert found["w5"] == pytest.approx(0.75 + 0.25 * expected[4][0], rel=1e-5)
    totals = [float(row[2]) for row in rows[:3]]
    assert totals == sorted(totals, reverse=True)


def test_bad_lines_of_nbest_lists_are_named_and_the_others_sorted(command, run, tmp_path):
    file, output = tmp_path / "lists.txt", tmp_path / "sorted.txt"
    file.write_bytes(b"a ||| w1 ||| 1\na ||| w2\n\na ||| w3 ||| 2\nb ||| caf\xe9 ||| 1\n")
    arguments = [f"--workdir={run[0]}", "--nbest", "--lm_weight=0", f"--output={output}", str(file)]
    assert_one_line(
        command(*arguments),
        "error: lines 2, 3, 5 are left out, the others are sorted. Line 2: Expected: id ||| text "
        "||| score, the score a finite number. Received: 'a ||| w2'",
    )
    assert output.read_text() == "a ||| w3 ||| 2.000000\na ||| w1 ||| 1.000000\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_where_it_cannot_write_is_said_before_the_model_is_loaded(command, tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "load_model", lambda *_: pytest.fail("loaded"))
    (tmp_path / "lines.txt").write_text("w1\n")
    for output, part in ((tmp_path, "it is a folder"), (tmp_path / "no" / "x", "is no folder")):
        ended = command(f"--output={output}", str(tmp_path / "lines.txt"))
        assert_one_line(ended, f"{output} cannot be written", part)


@pytest.mark.parametrize(
    "arguments,parts",
    [
        (["--workdir="], ["--workdir must be the folder of a trained run"]),
        (["--workdir=NOWHERE", "FILE"], ["There is no run in NOWHERE"]),
        (["--workdir=RUN", "NOWHERE"], ["No such file or directory: NOWHERE"]),
        (["--workdir=RUN", "FILE", "FILE"], ["expected 1 besides flags"]),
        (["--workdir=RUN", "--nbest", "--lm_weight=1.5", "FILE"], ["lm_weight must be in [0, 1]"]),
        (["--workdir=RUN", "--lm_weight=0.5", "FILE"], ["--lm_weight needs --nbest"]),
        (["--workdir=RUN", "--nbest", "--text", "FILE"], ["--text does not go with --nbest"]),
        (["--workdir=RUN", "--batch_size=0", "FILE"], ["batch_size must be a positive integer"]),
        (["--workdir=RUN", "--output=NOWHERE/x", "FILE"], ["there is no folder NOWHERE"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_bad_input_is_one_line(command, run, tmp_path, arguments, parts):
    (tmp_path / "lines.txt").write_text("w1\n")
    names = {"NOWHERE": tmp_path / "nowhere", "FILE": tmp_path / "lines.txt", "RUN": run[0]}

    def named(text):
        for name, path in names.items():
            text = text.replace(name, str(path))
        return text

    ended = command(*map(named, arguments))
    assert_one_line(ended, *map(named, parts))


def test_a_run_without_weights(command, run, tmp_path):
    make_run(tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "best" / "checkpoint.npz"
    checkpoint.unlink()
    (tmp_path / "lines.txt").write_text("w1\n")
    ended = command(f"--workdir={tmp_path / 'run'}", str(tmp_path / "lines.txt"))
    assert_one_line(ended, "There is no checkpoint", str(checkpoint))
