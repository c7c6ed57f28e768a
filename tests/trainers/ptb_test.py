"""Tests of the training command, as a user types it."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.training.tiny import assert_same_run, interrupt_after
from tests.trainers.training_command import SETTINGS, arguments, snapshot
from trainers.training import RunFolder

MODULE = "trainers.ptb"
ROOT = pathlib.Path(__file__).absolute().parents[2]
RESULTS = re.compile(r"\nvalidation perplexity: \d+\.\d\d\ntest perplexity: \d+\.\d\d\n\Z")


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """A finished run and its process, a new one as users start it; tests must not change it."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    ended = subprocess.run(
        [sys.executable, "-m", "trainers.ptb", *arguments(data_dir, workdir, tensorboard=True)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
    )
    return workdir, ended


class TestFinished:
    def test_its_output(self, finished):
        workdir, ended = finished
        assert (ended.returncode, ended.stderr) == (0, "")
        results = RunFolder(workdir).read_results()
        assert ended.stdout.endswith(
            f"\nvalidation perplexity: {results['validation']['perplexity']:.2f}\n"
            f"test perplexity: {results['test']['perplexity']:.2f}\n"
        )
        assert re.match(
            rf"run folder: {workdir}\ncorpus: .*\nmodel: [\d,]+ parameters\n"
            r"device: .*, float32 matmuls \(as requested\), kernel \S+\n",
            ended.stdout,
        )
        assert (workdir / "log.txt").read_text() == ended.stdout

    def test_its_folder(self, finished):
        assert {path.name for path in finished[0].iterdir()} == {
            "config.json",
            "vocabulary.txt",
            "metrics.csv",
            "results.json",
            "log.txt",
            "events",
            "checkpoints",
        }
        header = (finished[0] / "metrics.csv").read_text().splitlines()[0]
        assert header == (
            "epoch,step,tokens,learning_rate,train_loss,validation_loss,validation_perplexity,"
            "raw_validation_perplexity,averaging,seconds,tokens_per_second"
        )
        config = json.loads((finished[0] / "config.json").read_text())["settings"]
        assert {name: config[name] for name in SETTINGS} == {**SETTINGS, "tensorboard": True}

    def test_again_it_prints_the_results(self, command, data_dir, finished):
        before = snapshot(finished[0])
        again = command(*arguments(data_dir, finished[0]))
        assert again.code == 0, again.stderr
        assert again.stdout.splitlines()[-2:] == finished[1].stdout.splitlines()[-2:]
        assert "is finished (2 epochs)" in again.stdout
        assert snapshot(finished[0]) == before

    def test_noresume(self, command, data_dir, finished):
        ended = command(*arguments(data_dir, finished[0]), "--noresume")
        assert_one_line(ended, "is already a run folder. Omit --noresume")


def test_interrupted_and_resumed(command, data_dir, finished, tmp_path):
    with interrupt_after(9):
        ended = command(*arguments(data_dir, tmp_path / "run"))
    assert (ended.code, ended.stderr) == (130, "")
    assert ended.stdout.endswith(
        "interrupted after step 9; saved. Run the same command again to resume.\n"
    )
    ended = command(*arguments(data_dir, tmp_path / "run"))
    assert ended.code == 0, ended.stderr
    assert "resuming after step 9" in ended.stdout and RESULTS.search(ended.stdout)
    assert_same_run(tmp_path / "run", finished[0])


def test_without_the_test_text(command, data_dir, tmp_path):
    line = arguments(data_dir, tmp_path / "run", epochs=1)
    for _ in range(2):
        ended = command(*line, "--notest")
        assert ended.code == 0, ended.stderr
        assert re.search(r"\nvalidation perplexity: \d+\.\d\d\n\Z", ended.stdout)
        assert "test perplexity" not in ended.stdout
        assert RunFolder(tmp_path / "run").read_results()["test"] is None
    ended = command(*line)
    assert RESULTS.search(ended.stdout)
    assert RunFolder(tmp_path / "run").read_results()["test"] is not None


def test_mirrored_on_one_device(command, data_dir, finished, tmp_path):
    ended = command(*arguments(data_dir, tmp_path / "run"), "--strategy=mirrored")
    assert ended.code == 0, ended.stderr
    # The same windows and masks; sums may be rounded in another order.
    one, mirrored = (RunFolder(path).read_results() for path in (finished[0], tmp_path / "run"))
    assert mirrored["test"]["perplexity"] == pytest.approx(one["test"]["perplexity"], rel=1e-4)


def test_the_other_command_has_its_preset_and_a_flagfile(capfd, tmp_path, data_dir):
    lines = [*arguments(data_dir, tmp_path / "run"), "# a comment"]
    (tmp_path / "flags.txt").write_text("\n".join(lines))
    flagfile = f"--flagfile={tmp_path / 'flags.txt'}"
    ended = run_command(capfd, "trainers.wikitext2", flagfile, "--epochs=1")
    assert ended.code == 0, ended.stderr
    config, _ = RunFolder(tmp_path / "run").read_config()
    assert (config.input_dropout, config.epochs, config.seed) == (0.65, 1, 7)


def test_divergence(command, tmp_path, data_dir):
    ended = command(*arguments(data_dir, tmp_path / "run", learning_rate=1e39))
    assert ended.code == 3
    assert re.fullmatch(r"error: Training diverged [^\n]+\n", ended.stderr)
