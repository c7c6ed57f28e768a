"""Tests of `trainers.generate`."""

from awd_keras.bundled_model import describe_bundled_model
from awd_keras.generation import TextGenerator
from tests.trainers.in_process import assert_one_line
from tests.trainers.trained_run import make_run

MODULE = "trainers.generate"


def test_samples_of_a_run(command, tmp_path):
    workdir = tmp_path / "run"
    generator = TextGenerator(*make_run(workdir))
    options = {
        "num_samples": 4,
        "max_words": 9,
        "temperature": 0.8,
        "top_k": 15,
        "top_p": 0.9,
        "seed": 3,
        "repeat_unknown": False,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    ended = command(f"--workdir={workdir}", "--prompt=  w1 café dog", *flags)
    assert (ended.code, ended.stderr) == (0, "warning: read as <unk>: dog\n")
    texts = generator.generate("w1 café dog", **options)
    expected = [" ".join(["w1", "café", "dog", *text.words]) for text in texts]
    assert ended.stdout.splitlines() == expected
    assert len(set(expected)) > 1

    assert_one_line(command(f"--workdir={workdir}", "--temperature=nan"), "temperature=nan")


def test_the_bundled_model(command):
    ended = command("--prompt=the congress", "--max_words=5")
    assert (ended.code, ended.stderr) == (0, describe_bundled_model() + "\n")
    assert ended.stdout.startswith("the congress ") and len(ended.stdout.split()) <= 7
