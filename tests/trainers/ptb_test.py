"""Tests of the training command, as a user types it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.trainers.command_line import ROOT, CommandLine
from tests.trainers.training.tiny import assert_same_run, make_texts
from tests.trainers.training_command import SETTINGS, arguments, snapshot, write_texts
from trainers.config import TrainingConfig
from trainers.training import RunFolder, read_checkpoint

MODULE = "trainers.ptb"
RESULTS = re.compile(r"validation perplexity: \d+\.\d\d\ntest perplexity: \d+\.\d\d\n\Z")


def assert_one_line(ended, *parts):
    """The error of a command that was given bad input: one line, and no traceback."""
    assert ended.code == 1, ended
    assert re.fullmatch(r"error: [^\n]+\n", ended.stderr), ended.stderr
    for part in parts:
        assert part in ended.stderr
    assert "test perplexity" not in ended.stdout


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    command = CommandLine(tmp_path_factory.mktemp("streams"))
    yield command
    command.close()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("data") / "texts")


@pytest.fixture(scope="module")
def finished(command, data_dir, tmp_path_factory):
    """A finished run and what its command said; nobody changes it."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, command(MODULE, *arguments(data_dir, workdir, tensorboard=True, plot=True))


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, to damage."""
    return pathlib.Path(shutil.copytree(finished[0], tmp_path / "run"))


class TestFinished:
    def test_ends_with_both_perplexities(self, finished):
        workdir, ended = finished
        assert ended.code == 0, ended.stderr
        assert RESULTS.search(ended.stdout)
        results = RunFolder(workdir).read_results()
        assert ended.stdout.endswith(
            f"validation perplexity: {results['validation']['perplexity']:.2f}\n"
            f"test perplexity: {results['test']['perplexity']:.2f}\n"
        )
        assert "Traceback" not in ended.stderr and "\r" not in ended.stdout

    def test_the_log_has_what_was_printed(self, finished):
        log = (finished[0] / "log.txt").read_text()
        assert log == finished[1].stdout
        assert re.match(r"run folder: .*\ncorpus: .*\nmodel: [\d,]+ parameters, float32", log)
        assert RESULTS.search(log)

    def test_the_run_folder(self, finished):
        names = {path.name for path in finished[0].iterdir()}
        assert names >= {
            "config.json",
            "vocabulary.txt",
            "metrics.csv",
            "results.json",
            "log.txt",
            "events",
            "checkpoints",
        }
        assert not [path for path in finished[0].rglob("*.partial")]
        header = (finished[0] / "metrics.csv").read_text().splitlines()[0]
        assert header == (
            "epoch,step,tokens,learning_rate,train_loss,validation_loss,validation_perplexity,"
            "raw_validation_perplexity,averaging,seconds,tokens_per_second"
        )
        config = json.loads((finished[0] / "config.json").read_text())["settings"]
        assert {name: config[name] for name in SETTINGS} == {
            **SETTINGS,
            "tensorboard": True,
            "plot": True,
        }

    def test_again_it_prints_the_results_without_training(self, command, data_dir, finished):
        before = snapshot(finished[0])
        again = command(MODULE, *arguments(data_dir, finished[0]))
        assert again.code == 0, again.stderr
        assert again.stdout.splitlines()[-2:] == finished[1].stdout.splitlines()[-2:]
        assert snapshot(finished[0]) == before

    def test_not_resumed(self, command, data_dir, finished):
        ended = command(MODULE, *arguments(data_dir, finished[0]), "--noresume")
        assert_one_line(ended, "holds a run already")


class TestInterrupted:
    def test_saved_and_continued(self, command, data_dir, finished, tmp_path):
        line = arguments(data_dir, tmp_path / "run", checkpoint_minutes=0)
        # Enough epochs that the signal comes long before the end.
        started = command.start(MODULE, *line, "--epochs=100000")
        last = RunFolder(tmp_path / "run").last_checkpoint
        ended = command.interrupt_when(started, last.exists)
        assert ended.code == 130, ended.stderr
        assert "interrupted after step" in ended.stdout
        assert "The same command goes on from here" in ended.stdout
        assert RESULTS.search(ended.stdout)
        assert "Traceback" not in ended.stderr
        step = read_checkpoint(last)[1]["state"]["step"]
        assert f"interrupted after step {step:,};" in ended.stdout
        ended = command(MODULE, *line, f"--epochs={step // 10 + 1}")
        assert ended.code == 0, ended.stderr
        assert f"continuing after step {step:,}" in ended.stdout
        assert RESULTS.search(ended.stdout)

    def test_killed_and_continued_it_is_the_unbroken_run(
        self, command, data_dir, finished, tmp_path
    ):
        # A file that cannot grow kills as well. Checkpoints differ by the digits of the seconds and
        # grow with the trigger's record.
        (tmp_path / "run").mkdir()
        line = arguments(data_dir, tmp_path / "run")
        largest = finished[0] / "checkpoints" / "last" / "checkpoint.npz"
        ended = command(MODULE, *line, file_size=largest.stat().st_size - 100)
        assert_one_line(ended, "File too large")
        assert not list((tmp_path / "run").rglob("*.partial"))
        assert command(MODULE, *line).code == 0
        assert_same_run(tmp_path / "run", finished[0])


class TestNoSpace:
    def test_the_checkpoint_before_remains(self, command, data_dir, copied):
        last = copied / "checkpoints" / "last" / "checkpoint.npz"
        before = last.read_bytes()
        ended = command(MODULE, *arguments(data_dir, copied, epochs=3), file_size=len(before) - 100)
        assert_one_line(ended, "File too large")
        assert last.read_bytes() == before
        read_checkpoint(last)


class TestBadInput:
    def check(self, command, tmp_path, data_dir, *parts, **changes):
        """The command fails with one line, and makes no run folder."""
        ended = command(MODULE, *arguments(data_dir, tmp_path / "run", **changes))
        assert_one_line(ended, *parts)
        assert not (tmp_path / "run").exists()

    def test_missing_folder(self, command, tmp_path):
        self.check(command, tmp_path, tmp_path / "nowhere", "nowhere does not exist")

    def test_missing_file(self, command, tmp_path):
        data_dir = write_texts(tmp_path / "data")
        (data_dir / "valid.txt").unlink()
        self.check(command, tmp_path, data_dir, "lacks a train, a validation or a test file")

    def test_empty_file(self, command, tmp_path):
        data_dir = write_texts(tmp_path / "data")
        (data_dir / "test.txt").write_text("")
        self.check(command, tmp_path, data_dir, "test.txt is empty")

    def test_not_utf8(self, command, tmp_path):
        data_dir = write_texts(tmp_path / "data")
        (data_dir / "train.txt").write_bytes(b"word\nw\xe9rd\n")
        self.check(command, tmp_path, data_dir, "train.txt is not UTF-8: byte 6 (line 2)")

    def test_unknown_words(self, command, tmp_path):
        texts = make_texts()
        texts["validation"][3] += " never seen"
        data_dir = write_texts(tmp_path / "data", texts)
        self.check(command, tmp_path, data_dir, "2 tokens of the validation text", "'never'")

    def test_too_short(self, command, tmp_path, data_dir):
        self.check(command, tmp_path, data_dir, "train text", "too short", batch_size=100)

    def test_a_rate_that_is_none(self, command, tmp_path, data_dir):
        self.check(command, tmp_path, data_dir, "weight_dropout", "in [0, 1)", weight_dropout=1.5)

    def test_no_folder_for_the_users_own_text(self, command, tmp_path):
        ended = command(MODULE, "--corpus=text", f"--workdir={tmp_path / 'run'}")
        assert_one_line(ended, "--data_dir=FOLDER")
        assert not (tmp_path / "run").exists()

    def test_a_folder_that_is_no_run(self, command, tmp_path, data_dir):
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
        before = snapshot(tmp_path)
        ended = command(MODULE, *arguments(data_dir, tmp_path / "thesis"))
        assert_one_line(ended, "it is not a run", "nothing was changed")
        assert snapshot(tmp_path) == before

    def test_a_workdir_that_is_a_file(self, command, tmp_path, data_dir):
        (tmp_path / "file").write_text("text")
        assert_one_line(command(MODULE, *arguments(data_dir, tmp_path / "file")), "is a file")
        assert_one_line(command(MODULE, *arguments(data_dir, tmp_path / "file" / "run")))
        assert (tmp_path / "file").read_text() == "text"

    def test_a_corrupt_checkpoint(self, command, data_dir, copied):
        last = copied / "checkpoints" / "last" / "checkpoint.npz"
        content = last.read_bytes()[:-100]
        last.write_bytes(content)
        metrics = (copied / "metrics.csv").read_bytes()
        ended = command(MODULE, *arguments(data_dir, copied, epochs=3))
        assert_one_line(ended, str(last), "corrupt")
        assert last.read_bytes() == content
        assert (copied / "metrics.csv").read_bytes() == metrics

    def test_other_settings(self, command, data_dir, copied):
        before = snapshot(copied)
        ended = command(MODULE, *arguments(data_dir, copied, bptt=11, learning_rate=3, epochs=9))
        assert_one_line(ended, "learning_rate: 10.0 -> 3.0", "bptt: 10 -> 11")
        assert "epochs" not in ended.stderr
        assert snapshot(copied) == before

    def test_another_text(self, command, tmp_path, copied):
        texts = make_texts()
        texts["train"].reverse()
        before = snapshot(copied)
        other = write_texts(tmp_path / "data", texts)
        assert_one_line(command(MODULE, *arguments(other, copied, epochs=3)), "another text")
        assert snapshot(copied) == before

    def test_damaged_results(self, command, data_dir, copied):
        (copied / "results.json").write_text("{")
        assert_one_line(command(MODULE, *arguments(data_dir, copied)), "results.json")


class TestFlags:
    @pytest.mark.parametrize(
        ("flag", "said"),
        [
            ("--preset=penn", "--preset=penn: value should be one of <ptb|"),
            ("--learning_rate=fast", "learning_rate"),
            ("--nothing=3", "Unknown command line flag 'nothing'"),
            ("word", "error: expected flags only. Received: word"),
        ],
    )
    def test_wrong_flags(self, command, tmp_path, data_dir, flag, said):
        ended = command(MODULE, *arguments(data_dir, tmp_path / "run"), flag)
        assert ended.code == 1
        assert said in ended.stderr and "Traceback" not in ended.stderr
        assert not (tmp_path / "run").exists()

    def test_flags_from_a_file(self, command, tmp_path, data_dir, finished):
        file = tmp_path / "flags.txt"
        lines = [
            *arguments(data_dir, tmp_path / "run"),
            "# a comment",
            "--learning_rate_drop_epochs=1,2",
        ]
        file.write_text("\n".join(lines))
        ended = command(MODULE, f"--flagfile={file}", "--epochs=1")
        assert ended.code == 0, ended.stderr
        config, _ = RunFolder(tmp_path / "run").read_config()
        assert config.learning_rate_drop_epochs == (1, 2)
        assert config.epochs == 1 and config.seed == 7

    def test_divergence(self, command, tmp_path, data_dir):
        line = arguments(data_dir, tmp_path / "run", learning_rate=1e30)
        ended = command(MODULE, *line)
        assert ended.code == 3
        assert re.fullmatch(r"error: Training diverged at step \d+ [^\n]+\n", ended.stderr)
        assert "learning_rate=1e+30" in ended.stderr

    def test_the_other_command_has_its_preset(self, command, tmp_path, data_dir):
        line = arguments(data_dir, tmp_path / "run", epochs=1)
        ended = command("trainers.wikitext2", *line)
        assert ended.code == 0, ended.stderr
        config, _ = RunFolder(tmp_path / "run").read_config()
        assert config.input_dropout == 0.65 and config.batch_size == SETTINGS["batch_size"]


# Runs the command's --help and then looks at what was imported.
_HELP = """
import runpy, sys
sys.argv = ["trainers.ptb", "--help"]
try:
    runpy.run_module("trainers.ptb", run_name="__main__", alter_sys=True)
except SystemExit as end:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print("code", end.code, "loaded", sorted(loaded & {"tensorflow", "keras", "numpy"}))
"""


class TestHelp:
    def test_shows_every_setting_without_tensorflow(self):
        result = subprocess.run(
            [sys.executable, "-c", _HELP], cwd=ROOT, capture_output=True, text=True, timeout=600
        )
        assert result.stdout.splitlines()[-1].startswith("code 1 loaded []"), result.stderr
        names = set(TrainingConfig().to_dict()) | {"preset", "workdir", "resume"}
        for name in names:
            assert re.search(rf"^ +--(\[no\])?{name}\b", result.stdout, re.MULTILINE), name
        assert "python -m trainers.ptb --data_dir=FOLDER" in result.stdout
        assert "(default: '750')" in result.stdout


def test_as_a_user_starts_it(data_dir, finished, tmp_path):
    # Not forked: in a process that does import TensorFlow, quietly.
    result = subprocess.run(
        [sys.executable, "-m", MODULE, *arguments(data_dir, tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert_same_run(tmp_path / "run", finished[0])


def test_mirrored_on_one_device_is_the_run_of_one(command, data_dir, finished, tmp_path):
    workdir = tmp_path / "run"
    ended = command(MODULE, *arguments(data_dir, workdir, strategy="mirrored"))
    assert ended.code == 0, ended.stderr
    # Both are of one seed: the same windows and masks; sums may be rounded in another order.
    one, mirrored = (RunFolder(folder).read_results() for folder in (finished[0], workdir))
    assert mirrored["test"]["perplexity"] == pytest.approx(one["test"]["perplexity"], rel=1e-5)
