"""Tests of the command that writes text, as a user types it."""

import functools

import pytest

from awd_keras.generation import GenerationConfig, TextGenerator
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run
from trainers.training import bundled

MODULE = "trainers.generate"


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, MODULE)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "run"
    return workdir, TextGenerator(*make_run(workdir))


def test_samples_are_lines_that_begin_with_the_prompt(command, run):
    workdir, generator = run
    ended = command(
        f"--workdir={workdir}",
        "--prompt=  w1 caf\xe9 ",
        "--num_samples=4",
        "--max_words=9",
        "--temperature=0.8",
        "--top_k=15",
        "--top_p=0.9",
        "--seed=3",
        "--norepeat_unknown",
    )
    assert (ended.code, ended.stderr) == (0, "")
    config = GenerationConfig(
        num_samples=4,
        max_words=9,
        temperature=0.8,
        top_k=15,
        top_p=0.9,
        seed=3,
        repeat_unknown=False,
    )
    expected = [
        " ".join(["w1", "caf\xe9", *text.words])
        for text in generator.generate("w1 caf\xe9", config)
    ]
    assert ended.stdout.splitlines() == expected
    assert len(set(expected)) > 1


def test_without_a_run_the_bundled_model_writes(command):
    ended = command("--prompt=the congress", "--max_words=5")
    assert (ended.code, ended.stderr) == (0, bundled.describe() + "\n")
    assert ended.stdout.startswith("the congress ") and len(ended.stdout.split()) <= 7


def test_without_a_prompt_and_without_unk(command, run):
    arguments = [f"--workdir={run[0]}", "--num_samples=30", "--max_words=30"]
    ended = command(*arguments)
    assert ended.code == 0 and "<unk>" in ended.stdout
    assert len(ended.stdout.splitlines()) == 30
    ended = command(*arguments, "--nounknown")
    assert ended.code == 0 and "<unk>" not in ended.stdout


def test_unknown_words_of_the_prompt_are_named(command, run):
    ended = command(f"--workdir={run[0]}", "--prompt=the w1 dog the", "--max_words=1")
    assert ended.code == 0
    assert ended.stdout.startswith("the w1 dog the")
    assert ended.stderr == "warning: read as <unk>: dog the\n"


@pytest.mark.parametrize(
    "argument,part",
    [
        ("--workdir=", "--workdir must be the folder of a trained run"),
        ("--workdir=nowhere", "There is no run in nowhere"),
        ("--temperature=-0.5", "temperature must be a finite number of at least 0. Received: -0.5"),
        ("--temperature=nan", "temperature must be"),
        ("--top_p=0", "top_p must be in (0, 1]"),
        ("--top_p=1.5", "top_p must be in (0, 1]"),
        ("--top_k=-1", "top_k must be an integer of at least 0"),
        ("--num_samples=0", "num_samples must be a positive integer"),
        ("--max_words=0", "max_words must be a positive integer"),
        ("--seed=-1", "seed must be an integer of at least 0"),
        ("--prompt=\udcff", "--prompt must be UTF-8. Received: '\\udcff'"),
    ],
)
def test_bad_input_is_one_line(command, run, argument, part):
    ended = command(f"--workdir={run[0]}", argument)
    assert_one_line(ended, part)


def test_a_vocabulary_without_unk_cannot_read_every_prompt(command, tmp_path):
    make_run(tmp_path / "run", words="w1")
    ended = command(f"--workdir={tmp_path / 'run'}", "--prompt=dog")
    assert_one_line(ended, "error: The prompt cannot be read: The word 'dog' is not in")
