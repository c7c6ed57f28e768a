"""Tests of the command that fine-tunes a run, as a user types it."""

import functools
import json
import re
import shutil

import pytest

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run
from tests.trainers.training.tiny import assert_same_run, digests, interrupt_after
from trainers.config import TrainingConfig
from trainers.training import RunFolder

RESULTS = re.compile(r"validation perplexity: \d+\.\d\d\ntest perplexity: \d+\.\d\d\n\Z")


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, "trainers.finetune")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run and its texts; nobody changes it."""
    folder = tmp_path_factory.mktemp("trained")
    settings = {"epochs": 2, "logging_interval": 9, "learning_rate_drop_epochs": (1,), "seed": 5}
    make_run(folder / "run", folder / "texts", corpus="text", scale=0.1, **settings)
    return folder / "run"


@pytest.fixture
def initial(trained, tmp_path):
    """The same run for a test of its own."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_the_defaults(command, initial, tmp_path):
    before = digests(initial)
    ended = command(f"--workdir={initial}/")
    assert (ended.code, ended.stderr) == (0, "")
    assert RESULTS.search(ended.stdout)
    assert digests(initial) == before
    output = RunFolder(tmp_path / "run-finetuned")
    assert "averaging starts at step 0: as asked, before the first step" in ended.stdout
    assert f"starting from the best weights of {initial}: validation perplexity" in ended.stdout
    config, expected = output.read_config()[0], RunFolder(initial).read_config()[0]
    assert config == expected.replace(
        initial_run=str(initial),
        trigger="start",
        stop="non_monotonic",
        learning_rate_drop_epochs=(),
    )
    assert {row["averaging"] for row in output.read_metrics()} == {"1"}
    assert {row["learning_rate"] for row in output.read_metrics()} == {"10.0"}

    again = command(f"--workdir={initial}")
    assert again.code == 0
    assert again.stdout.splitlines()[-2:] == ended.stdout.splitlines()[-2:]
    assert "is finished (2 epochs)" in again.stdout


def test_flags_change_the_settings_of_the_run(command, initial, tmp_path):
    output = tmp_path / "elsewhere"
    changes = {
        "epochs": 1,
        "learning_rate": 3.5,
        "batch_size": 3,
        "non_monotone_interval": 2,
        "weight_dropout": 0.1,
        "learning_rate_drop_epochs": (4, 6),
        "stop": "never",
        "seed": 8,
        "logging_interval": 5,
    }
    flags = {**changes, "learning_rate_drop_epochs": "4,6"}
    ended = command(
        f"--workdir={initial}",
        f"--output_workdir={output}",
        *(f"--{name}={value}" for name, value in flags.items()),
    )
    assert ended.code == 0, ended
    config = RunFolder(output).read_config()[0].to_dict()
    assert {name: config[name] for name in changes} == {
        **changes,
        "learning_rate_drop_epochs": [4, 6],
    }
    assert not (tmp_path / "run-finetuned").exists()


def test_the_stop_is_said_and_a_stopped_run_is_finished(command, initial, tmp_path):
    # Losses only rise at such a rate.
    arguments = [
        f"--workdir={initial}",
        "--non_monotone_interval=0",
        "--logging_interval=2",
        "--learning_rate=300",
        "--epochs=50",
    ]
    ended = command(*arguments)
    assert ended.code == 0, ended
    stop = re.search(r"^done at step (\d+): validation loss .* is above .*$", ended.stdout, re.M)
    results = RunFolder(tmp_path / "run-finetuned").read_results()
    assert (results["reason"], results["stopped_at_step"]) == ("finished", int(stop[1]))
    assert results["epochs"] < 50
    before = digests(tmp_path / "run-finetuned")
    again = command(*arguments)
    assert again.code == 0 and "is finished" in again.stdout
    assert digests(tmp_path / "run-finetuned") == before


def test_interrupted_it_goes_on_bit_for_bit(command, initial, tmp_path):
    with interrupt_after(11):
        ended = command(f"--workdir={initial}")
    assert ended.code == 130, ended
    assert RESULTS.search(ended.stdout)
    assert command(f"--workdir={initial}").code == 0
    assert command(f"--workdir={initial}", f"--output_workdir={tmp_path / 'unbroken'}").code == 0
    assert_same_run(tmp_path / "run-finetuned", tmp_path / "unbroken")


def test_other_settings_and_noresume_are_refused(command, initial, tmp_path):
    output = RunFolder(tmp_path / "run-finetuned")
    shutil.copytree(initial, output.path)
    content = json.loads(output.config_file.read_text())
    content["settings"].update(
        initial_run=str(initial),
        trigger="start",
        stop="non_monotonic",
        learning_rate_drop_epochs=[],
    )
    output.config_file.write_text(json.dumps(content))
    before = digests(tmp_path)
    ended = command(f"--workdir={initial}", "--bptt=9")
    assert_one_line(ended, "holds a run with other settings (bptt: 10 -> 9)")
    ended = command(f"--workdir={initial}", "--noresume")
    assert_one_line(ended, "run-finetuned holds a run already")
    # The fine-tuning of one run is not that of another.
    shutil.copytree(initial, tmp_path / "another")
    ended = command(f"--workdir={tmp_path / 'another'}", f"--output_workdir={output.path}")
    assert_one_line(ended, "other settings (initial_run: ")
    shutil.rmtree(tmp_path / "another")
    assert digests(tmp_path) == before


@pytest.mark.parametrize("place", ["", "/inside"])
def test_its_folder_lies_outside_of_the_run(command, initial, place):
    before = digests(initial)
    ended = command(f"--workdir={initial}", f"--output_workdir={initial}{place}")
    assert_one_line(ended, "The fine-tuning needs a folder of its own, outside")
    assert digests(initial) == before


@pytest.mark.parametrize(
    "arguments,part",
    [
        ([], "--workdir is required"),
        (["--workdir=nowhere"], "There is no run in nowhere to start from"),
        (["--workdir=RUN", "--learning_rate=-1"], "learning_rate must be a finite number above 0"),
        (["--workdir=RUN", "--learning_rate_drop_epochs=x"], "must be numbers with commas"),
        (["--workdir=RUN", "more"], "expected flags only. Received: more"),
    ],
)
def test_bad_input_is_one_line(command, trained, arguments, part):
    ended = command(*(argument.replace("RUN", str(trained)) for argument in arguments))
    assert_one_line(ended, part)
    assert not trained.with_name("run-finetuned").exists()


def test_a_run_without_weights(command, initial, tmp_path):
    RunFolder(initial).best_checkpoint.unlink()
    ended = command(f"--workdir={initial}")
    assert ended.code == 1
    assert re.fullmatch(r"error: There is no checkpoint [^\n]+\n", ended.stderr)
    assert not (tmp_path / "run-finetuned").exists()


def test_the_model_and_its_words_have_no_flags(command, trained):
    for name in ("hidden_dim", "max_vocabulary_size", "trigger", "initial_run"):
        assert name in TrainingConfig().to_dict()
        ended = command(f"--workdir={trained}", f"--{name}=3")
        assert ended.code == 1
        assert f"Unknown command line flag '{name}'" in ended.stderr
