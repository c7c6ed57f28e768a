"""Tests of the command that exports, as a user types it."""

import dataclasses
import functools
import json
import os
import re
import subprocess
import sys

import pytest
import tensorflow as tf

from serving.limits import Limits
from tests.serving.conftest import ROOT
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run, replace_words
from trainers.training import bundled

MODULE = "serving.export"


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, MODULE)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "mine", data_dir=folder / "texts")
    return folder / "mine"


def test_a_version_after_the_other(command, workdir, tmp_path):
    output = tmp_path / "exported"
    ended = command(f"--workdir={workdir}", f"--output={output}")
    assert (ended.code, ended.stderr) == (0, ""), ended
    assert re.fullmatch(
        rf"written: {output}/mine/1\n"
        r"model: 1,001 parameters, 23 words, float32 products, float32 weights\n"
        r"size: 0\.\d\d MB \(0\.01 MB of weights, 0\.\d\d MB of graph, vocabulary and 15 warm-up "
        r"requests\)\nweights in other forms: float32 0\.00 MB, bfloat16 0\.00 MB, int8 0\.00 MB\n",
        ended.stdout,
    ), ended.stdout
    ended = command(
        f"--workdir={workdir}",
        f"--output={output}",
        "--dtype=bfloat16",
        "--weights=int8",
        "--nowarmup",
        "--max_batch_size=3",
    )
    assert ended.code == 0 and f"written: {output}/mine/2\n" in ended.stdout
    assert "bfloat16 products, int8 weights" in ended.stdout
    assert sorted(os.listdir(output / "mine")) == ["1", "2"]
    facts = json.loads((output / "mine" / "2" / "assets.extra" / "facts.json").read_text())
    assert facts["limits"]["max_batch_size"] == 3 and facts["weights"] == "int8"
    assert not (output / "mine" / "2" / "assets.extra" / "tf_serving_warmup_requests").exists()
    ended = command(f"--workdir={workdir}", f"--output={output}", "--version=2")
    assert_one_line(ended, f"{output}/mine/2 exists already", "version 3", "nothing was changed")


def test_name_and_version(command, workdir, tmp_path):
    ended = command(
        f"--workdir={workdir}/",
        f"--output={tmp_path}",
        "--name=words",
        "--version=41",
        "--nowarmup",
    )
    assert ended.code == 0
    assert os.listdir(tmp_path) == ["words"] and os.listdir(tmp_path / "words") == ["41"]


def test_a_run_folder_whose_name_no_model_may_have(command, workdir, tmp_path):
    (tmp_path / "my run").symlink_to(workdir)
    ended = command(f"--workdir={tmp_path / 'my run'}", f"--output={tmp_path / 'out'}")
    assert_one_line(ended, "Received: 'my run', the name of the run folder", "by --name.")
    assert not (tmp_path / "out").exists()


def test_the_help_has_the_limits():
    command = [sys.executable, "-m", MODULE, "--help"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = " ".join(ended.stdout.split())
    for name, value in dataclasses.asdict(Limits()).items():
        assert re.search(rf"--{name}: limit in the graph: [^:]+ \(default: '{value}'\)", said), name


def test_without_a_run_the_bundled_model_is_exported(command, tmp_path):
    ended = command(f"--output={tmp_path}", "--weights=int8")
    assert ended.code == 0 and ended.stdout.startswith(bundled.describe() + "\n")
    path = tmp_path / "bundled" / "1"
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 5e6
    signatures = tf.saved_model.load(str(path)).signatures
    found = signatures["next_word"](text=tf.constant(["the united"]), k=tf.constant([1]))
    assert found["words"].numpy().tolist() == [[b"states"]]


def test_forms_are_compared_and_nothing_is_written(command, workdir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = command(f"--workdir={workdir}", "--compare", "--compare_words=40")
    assert (ended.code, ended.stderr) == (0, ""), ended
    first, heading, *rows = ended.stdout.splitlines()
    assert re.fullmatch(r"\d+ lines, 40 words; medians of a step in milliseconds", first)
    assert heading.split()[:5] == ["products", "weights", "size", "perplexity", "cost"]
    forms = [tuple(row.split()[:2]) for row in rows]
    assert forms == [
        ("float32", "float32"),
        ("float32", "int8"),
        ("bfloat16", "bfloat16"),
        ("bfloat16", "int8"),
    ]
    perplexities = [float(row.split()[4]) for row in rows]
    assert len(set(perplexities)) > 1
    assert all(value == pytest.approx(perplexities[0], rel=0.05) for value in perplexities)
    assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_the_text_to_compare_with(command, workdir, tmp_path):
    text = tmp_path / "text"
    text.write_text("w1 w2 w3\n\nw4 dog\n")
    ended = command(f"--workdir={workdir}", "--compare", f"--compare_text={text}")
    assert ended.code == 0 and ended.stdout.startswith("2 lines, 5 words; ")


def test_an_empty_text_to_compare_with(command, workdir, tmp_path):
    text = tmp_path / "text"
    text.write_text(" \n")
    ended = command(f"--workdir={workdir}", "--compare", f"--compare_text={text}")
    assert_one_line(ended, "is empty (2 bytes, no word)")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--workdir=RUN"], ["--output is required"]),
        (["--workdir=", "--output=OUT"], ["--workdir must be the folder of a trained run"]),
        (["--workdir=nowhere", "--output=OUT"], ["There is no run in nowhere"]),
        (["--workdir=RUN", "--output=OUT", "--name=a/b"], ["name of a model", "Received: 'a/b'"]),
        (["--workdir=RUN", "--output=OUT", "--version=0"], ["A version must be", "Received: 0"]),
        (["--workdir=RUN", "--output=OUT", "--max_words=0"], ["max_words must be a positive"]),
        (["--workdir=RUN", "--output=OUT", "extra"], ["expected flags only. Received: extra"]),
        (["--workdir=RUN", "--output=FILE"], ["FILE"]),
    ],
)
def test_bad_input_is_one_line(command, workdir, tmp_path, arguments, parts):
    (tmp_path / "FILE").write_text("mine")
    places = {"RUN": workdir, "OUT": tmp_path / "out", "FILE": tmp_path / "FILE"}
    named = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        named.append(f"{flag}{equals}{places.get(value, value)}")
    assert_one_line(command(*named), *parts)
    assert os.listdir(tmp_path) == ["FILE"] and (tmp_path / "FILE").read_text() == "mine"


def test_a_run_without_an_eos(command, tmp_path):
    _, vocabulary = make_run(tmp_path / "run")
    words = ["end" if word == "<eos>" else word for word in vocabulary.words]
    replace_words(tmp_path / "run", words)
    ended = command(f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}")
    assert_one_line(ended, "the vocabulary has none")
    assert not (tmp_path / "out").exists()
