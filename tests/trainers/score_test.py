"""End-to-end tests of `trainers.score`."""

import io
import math
import sys

import pytest

from awd_keras.bundled_model import describe_bundled_model
from awd_keras.evaluation import LineScorer
from tests.trainers.in_process import assert_one_line
from tests.trainers.trained_run import make_run
from trainers.training import factory

MODULE = "trainers.score"
LINES = ["w1 w2 w3", "", "w1 dog", "caf\xe9 \t w4 <unk>", "w5"]


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


def test_words(command, run, tmp_path):
    workdir, scores = run
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES) + "\n", "utf-8")
    ended = command(f"--workdir={workdir}", "--per_token", "--log_base=2", file)
    header, *rows = [line.split("\t") for line in ended.stdout.splitlines()]
    assert header == ["sentence", "position", "word", "log_probability"]
    words = [[*line.split(), "<eos>"] for line in LINES]
    assert [row[:3] for row in rows] == [
        [str(sentence), str(position), word]
        for sentence, line in enumerate(words, 1)
        for position, word in enumerate(line, 1)
    ]
    for sentence, score in enumerate(scores, 1):
        total = sum(float(row[3]) for row in rows if row[0] == str(sentence))
        assert total * math.log(2) == pytest.approx(score.log_probability, rel=1e-5)


def test_running_text(command, run, tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES) + "\n", "utf-8")
    ended = command(f"--workdir={run[0]}", "--carry_state", file)
    model, vocabulary, _ = factory.load_model(run[0])
    scorer = LineScorer(model, vocabulary, carry_state=True)
    assert_rows(ended.stdout, list(scorer.score(LINES)))


def test_keys_are_not_scored(command, run, tmp_path):
    workdir, scores = run
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"w{index}\t{line}\n" for index, line in enumerate(LINES)), "utf-8")
    arguments = f"--workdir={workdir}", "--first_column_is_key", "--log_base=10", file
    rows = [line.split("\t") for line in command(*arguments).stdout.splitlines()]
    assert [row[0] for row in rows] == [f"w{index}" for index in range(len(LINES))]
    found = [float(row[1]) * math.log(10) for row in rows]
    assert found == pytest.approx([score.log_probability for score in scores], rel=1e-4)
    ended = command(*arguments, "--per_token", "--text=false")
    assert [line.split("\t")[0] for line in ended.stdout.splitlines()][1:6] == ["w0"] * 4 + ["w1"]


def test_sentence_marks_are_warned_of_once(command, run, tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("<s> w1 </s>\nw2 <eos>\n")
    ended = command(f"--workdir={run[0]}", file)
    assert ended.code == 0 and ended.stderr.count("warning: ") == 1
    assert "<eos>, <s> or </s> as words in 2 of its lines" in ended.stderr


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


def test_features(command, run, tmp_path):
    workdir, scores = run
    file = tmp_path / "lists.txt"
    file.write_text("".join(f"0 ||| {text} ||| F= 1 ||| -1.5\n" for text in LINES[:2]))
    ended = command(f"--workdir={workdir}", "--nbest", "--word_bonus=2", file)
    expected = [scores[0].log_probability + 6, scores[1].log_probability]
    features = [line.split(" ||| ")[2].split() for line in ended.stdout.splitlines()]
    assert [float(feature[3]) for feature in features] == pytest.approx(expected, rel=1e-5)
    assert features[0][:3] == ["F=", "1", "AWDLSTM0="]
    assert [line.split(" ||| ")[3] for line in ended.stdout.splitlines()] == ["-1.5", "-1.5"]


def test_tuned_weights_are_flags(command, run, tmp_path):
    lists, references = tmp_path / "lists.txt", tmp_path / "references.txt"
    lists.write_text("u1 ||| w1 w2 ||| -1\nu1 ||| w3 ||| -2\n")
    references.write_text("u1 w1 w2 w4 w5\n")
    run_arguments = f"--workdir={run[0]}", "--nbest"
    ended = command(*run_arguments, f"--tune_weights={references}", lists)
    assert (ended.code, ended.stderr) == (
        0,
        "word errors 50.00% (2 of 4) with these weights, 50.00% (2 of 4) with --lm_weight=0\n",
    )
    assert "--lm_weight=" in ended.stdout and "--unk_penalty=0" in ended.stdout
    sorted_lists = command(*run_arguments, *ended.stdout.split(), lists)
    assert sorted_lists.stdout.startswith("u1 ||| w1 w2 ||| ")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--nbest"], "Line 1: expected id ||| text ||| score"),
        (["--lm_weight=0.5"], "--lm_weight has no effect without --nbest"),
        (["--nbest", "--text"], "--text has no effect with --nbest"),
        (["--nbest", "--lm_weight=nan"], "--lm_weight must be a finite number. Received: nan"),
        (["--per_token", "--text"], "--text has no effect with --per_token"),
        (["--nbest", "--tune_weights=x", "--lm_weight=1"], "has no effect with --tune_weights"),
        (["--output=nowhere/x"], "No such file or directory: "),
    ],
)
def test_bad_input(command, run, tmp_path, arguments, message):
    file = tmp_path / "lines.txt"
    file.write_text("w1\n")
    assert_one_line(command(f"--workdir={run[0]}", *arguments, file), message)
