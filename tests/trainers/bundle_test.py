"""Tests of `trainers.bundle`."""

import pytest

from awd_keras import bundled_model
from tests.trainers.in_process import assert_one_line
from tests.trainers.trained_run import make_run
from trainers.training import RunFolder

MODULE = "trainers.bundle"


def test_a_run_becomes_a_bundled_model(command, tmp_path, monkeypatch):
    workdir, output = tmp_path / "run", tmp_path / "small"
    model, vocabulary = make_run(workdir, data_dir=tmp_path / "texts")
    flags = [f"--workdir={workdir}", f"--output={output}"]
    assert_one_line(command(*flags), "must have a test perplexity")

    results = {"validation": {"perplexity": 20.1}, "test": {"perplexity": 12.34}}
    RunFolder(workdir).write_results({"epochs": 1, **results})
    ended = command(*flags)
    assert (ended.code, ended.stderr) == (0, ""), ended
    assert ended.stdout == f"wrote {output}: 23 words, {model.count_params():,} parameters\n"
    monkeypatch.setattr(bundled_model, "FOLDER", output)
    _, words, facts = bundled_model.load_bundled_model()
    assert words == vocabulary
    assert facts["results"] == results
    assert str(tmp_path) not in (output / "config.json").read_text()


@pytest.mark.parametrize("changes", [{"rnn": "gru"}, {"adaptive_softmax_cutoffs": (5,)}], ids=str)
def test_only_lstms_with_a_full_softmax(command, tmp_path, changes):
    make_run(tmp_path / "run", **changes)
    ended = command(f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'small'}")
    assert_one_line(ended, "must consist of LSTMs and a full softmax")
    assert not (tmp_path / "small").exists()


def test_workdir_is_required(command):
    assert_one_line(command("--output=small"), "--workdir is required")
