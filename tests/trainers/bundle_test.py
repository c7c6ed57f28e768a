"""Tests of `trainers.bundle`."""

import functools

import pytest

from awd_keras.bundled_model import load_bundled_model
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, "trainers.bundle")


def test_a_run_becomes_a_bundled_model(command, tmp_path):
    _, vocabulary = make_run(tmp_path / "run", data_dir=tmp_path / "texts")
    output = tmp_path / "small"
    ended = command(f"--workdir={tmp_path / 'run'}", f"--output={output}")
    assert (ended.code, ended.stderr) == (0, ""), ended
    assert ended.stdout == f"bundled model: text, 23 words, written to {output}\n"
    _, words, facts = load_bundled_model(folder=output)
    assert words == vocabulary
    assert facts["settings"]["data_dir"] is None
    assert str(tmp_path) not in (output / "config.json").read_text()


def test_workdir_is_required(command):
    assert_one_line(command("--output=small"), "--workdir is required")
