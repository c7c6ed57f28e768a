"""Tests of the command that makes the model of the package."""

import functools
import os

import pytest

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run
from trainers.training import bundled

MODULE = "trainers.bundle"


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, MODULE)


def test_a_run_becomes_three_files(command, tmp_path):
    _, vocabulary = make_run(tmp_path / "run")
    output = tmp_path / "small"
    ended = command(f"--workdir={tmp_path / 'run'}", f"--output={output}")
    assert (ended.code, ended.stderr) == (0, ""), ended
    assert ended.stdout == f"the bundled model: text, 23 words: 0.01 MB in {output}\n"
    assert sorted(os.listdir(output)) == ["config.json", "vocabulary.txt", "weights.npz"]
    assert bundled.read_bundled_model(output)[1] == vocabulary


def test_the_run_itself_is_not_replaced(command, tmp_path):
    make_run(tmp_path / "run")
    before = sorted(os.listdir(tmp_path / "run"))
    ended = command(f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'run'}")
    assert_one_line(ended, "Choose another by --output; nothing was changed")
    assert sorted(os.listdir(tmp_path / "run")) == before


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ("--output=small", "--workdir is required"),
        ("--workdir=nowhere", "There is no run in nowhere"),
    ],
)
def test_bad_input_is_one_line(command, argument, part):
    before = {path.name: path.stat().st_mtime for path in bundled.FOLDER.iterdir()}
    assert_one_line(command(argument), part)
    assert {path.name: path.stat().st_mtime for path in bundled.FOLDER.iterdir()} == before
