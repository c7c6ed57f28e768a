"""Tests of the command that fine-tunes a run."""

import re
import shutil

import pytest

from tests.trainers.in_process import assert_one_line
from tests.trainers.trained_run import make_run
from tests.trainers.training.tiny import assert_same_run, digests, interrupt_after
from trainers.training import RunFolder

MODULE = "trainers.finetune"
RESULTS = re.compile(r"\nvalidation perplexity: \d+\.\d\d\ntest perplexity: \d+\.\d\d\n\Z")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run and its texts; tests must not change it."""
    folder = tmp_path_factory.mktemp("trained")
    settings = {"epochs": 2, "logging_interval": 9, "learning_rate_drop_epochs": (1,), "seed": 5}
    make_run(folder / "run", folder / "texts", corpus="text", scale=0.1, **settings)
    return folder / "run"


@pytest.fixture
def initial(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_the_defaults_interrupted_and_resumed(command, initial, tmp_path):
    before = digests(initial)
    ended = command(f"--workdir={initial}/")
    assert (ended.code, ended.stderr) == (0, "")
    assert RESULTS.search(ended.stdout)
    assert digests(initial) == before
    assert "averaging starts at step 0: as requested, before the first step" in ended.stdout
    output = RunFolder(tmp_path / "run-finetuned")
    assert output.read_config()[0] == RunFolder(initial).read_config()[0].replace(
        initial_run=str(initial),
        trigger="start",
        stop="non_monotonic",
        learning_rate_drop_epochs=(),
        kernel=output.read_config()[0].kernel,  # as resolved for this machine
    )

    arguments = [f"--workdir={initial}", f"--output_workdir={tmp_path / 'resumed'}"]
    with interrupt_after(11):
        assert command(*arguments).code == 130
    assert command(*arguments).code == 0
    assert_same_run(tmp_path / "resumed", output.path)
    # From here on, the original run may change or disappear.
    shutil.rmtree(initial)
    again = command(f"--workdir={initial}")
    assert again.stdout.splitlines()[-2:] == ended.stdout.splitlines()[-2:]


def test_flags_change_the_settings(command, initial, tmp_path):
    changes = {"epochs": 1, "learning_rate": 3.5, "weight_dropout": 0.1, "stop": "never"}
    ended = command(
        f"--workdir={initial}",
        f"--output_workdir={tmp_path / 'output'}",
        *(f"--{name}={value}" for name, value in changes.items()),
        "--notest",
    )
    assert ended.code == 0, ended
    config = RunFolder(tmp_path / "output").read_config()[0].to_dict()
    assert {name: config[name] for name in changes} == changes
    assert RunFolder(tmp_path / "output").read_results()["test"] is None


def test_another_text(command, initial, tmp_path):
    texts, output = tmp_path / "other texts", tmp_path / "output"
    shutil.copytree(RunFolder(initial).read_config()[0].data_dir, texts)
    text = (texts / "train.txt").read_text("utf-8")
    (texts / "train.txt").write_text(text.replace("w19", "new") + "newer\n", "utf-8")
    arguments = [f"--initial_run={initial}", "--corpus=text", f"--data_dir={texts}", "--epochs=1"]
    ended = command(*arguments, f"--workdir={output}", "--require_same_vocabulary")
    assert_one_line(ended, "has a different vocabulary from text")
    assert not output.exists()
    ended = command(*arguments, f"--workdir={output}")
    assert (ended.code, ended.stderr) == (0, "")
    line = "words: 22 of the initial run kept, 2 new (start from the mean), 1 dropped"
    assert ended.stdout.splitlines().count(line) == 1
    assert "new" in RunFolder(output).read_vocabulary()
    config = RunFolder(output).read_config()[0]
    assert (config.initial_run, config.data_dir) == (str(initial), str(texts))
    again = command(*arguments, f"--workdir={output}", "--require_same_vocabulary")
    assert again.code == 0 and "is finished" in again.stdout


@pytest.mark.parametrize("place", ["", "/inside"])
def test_its_folder_must_be_outside_the_run(command, initial, place):
    before = digests(initial)
    ended = command(f"--workdir={initial}", f"--output_workdir={initial}{place}")
    assert_one_line(ended, "--output_workdir must be a folder outside")
    assert digests(initial) == before


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "--workdir is required"),
        (["--workdir=nowhere"], "There is no run in nowhere"),
        (["--initial_run=RUN", "--workdir=a", "--output_workdir=b"], "not both"),
        (["--workdir=RUN", "--corpus=text"], "needs data_dir"),
    ],
)
def test_bad_input(command, trained, arguments, part):
    ended = command(*(argument.replace("RUN", str(trained)) for argument in arguments))
    assert_one_line(ended, part)


def test_the_model_has_no_flags(command, trained):
    ended = command(f"--workdir={trained}", "--hidden_dim=3")
    assert ended.code == 1 and "Unknown command line flag 'hidden_dim'" in ended.stderr
