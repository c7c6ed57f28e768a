"""Tests of the command that carries weights to and from PyTorch, as a user types it."""

import functools
import json
import pathlib

import numpy as np
import pytest

from awd_keras import io
from tests.test_case import assert_close, assert_equal
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run
from trainers.training import factory

MODULE = "trainers.convert"
REFERENCE = pathlib.Path(__file__).parents[1] / "io" / "reference"
TOKENS = np.array([[3, 1, 4, 1, 5, 9, 2, 6]], "int32")


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, MODULE)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    workdir = folder / "run"
    model, _ = make_run(workdir, data_dir=folder / "texts")
    return workdir, model


@pytest.fixture
def words(tmp_path):
    """A vocabulary for the weights that PyTorch wrote."""
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{word}\n" for word in ["<unk>", "<eos>", *range(17)]), "utf-8")
    return path


@pytest.mark.parametrize("model_format", io.FORMATS)
def test_out_and_in_again(command, run, tmp_path, model_format):
    workdir, model = run
    before = sorted(workdir.rglob("*"))
    weights, other = tmp_path / "weights.safetensors", tmp_path / "other"
    ended = command(f"--workdir={workdir}", f"--output={weights}", f"--format={model_format}")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"written: {weights}, {model.count_params():,} parameters",
        f"its words: {workdir}/vocabulary.txt",
    ]
    assert sorted(workdir.rglob("*")) == before
    expected = io.to_pytorch(model, model_format)
    actual = io.read_state_dict(weights)
    assert set(actual) == set(expected)
    for name, array in expected.items():
        assert_equal(actual[name], array)

    data_dir = factory.load_run(workdir)[2].data_dir
    ended = command(
        f"--input={weights}",
        f"--vocabulary={workdir}/vocabulary.txt",
        f"--output_workdir={other}",
        "--corpus=text",
        f"--data_dir={data_dir}",
        "--preset=wikitext2",
    )
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"model: {model.count_params():,} parameters, 23 words, embedding_dim=6, hidden_dim=8, "
        "num_layers=2, tie_weights=True",
        f"run folder: {other}",
    ]
    loaded, vocabulary, config = factory.load_run(other)
    assert_equal(loaded(TOKENS)[0], model(TOKENS)[0])
    assert vocabulary == factory.load_run(workdir)[1]
    assert (config.corpus, config.data_dir, config.dtype) == ("text", data_dir, "float32")
    assert config.input_dropout == 0.65


@pytest.mark.parametrize(
    ("name", "model_format"),
    [("authors", "authors"), ("authors_untied", "authors"), ("fastai", "fastai")],
)
def test_weights_of_pytorch(command, tmp_path, words, name, model_format):
    weights = REFERENCE / f"{name}.safetensors"
    ended = command(
        f"--input={weights}",
        f"--vocabulary={words}",
        f"--format={model_format}",
        f"--output_workdir={tmp_path / 'run'}",
    )
    assert (ended.code, ended.stderr) == (0, "")
    model, _, config = factory.load_run(tmp_path / "run")
    assert (config.corpus, config.tie_weights) == ("ptb", name != "authors_untied")
    facts = json.loads((tmp_path / "run" / "config.json").read_text())["corpus"]
    assert facts["weights_from"] == str(weights)
    with np.load(REFERENCE / "logits.npz") as file:
        logits, _ = model(file["tokens"][:, :5])
        assert_close(logits, file[f"{name}/logits"][:, :5], 2e-5)


def test_what_other_commands_make_of_it(command, run, tmp_path, capfd):
    """The imported run has the perplexity of the run that it came from."""
    workdir, model = run
    weights, other = tmp_path / "weights.safetensors", tmp_path / "other"
    io.write_state_dict(weights, io.to_pytorch(model, "fastai"))
    ended = command(
        f"--input={weights}",
        f"--vocabulary={workdir}/vocabulary.txt",
        f"--output_workdir={other}",
        "--corpus=text",
        f"--data_dir={workdir.parent / 'texts'}",
    )
    assert ended.code == 0
    results = []
    for folder in (workdir, other):
        output = tmp_path / f"{folder.name}.json"
        ended = run_command(
            capfd,
            "trainers.evaluate",
            f"--workdir={folder}",
            f"--output={output}",
            "--batch_size=2",
        )
        assert ended.code == 0, ended.stderr
        results.append(json.loads(output.read_text()))
    assert results[0]["stages"] == results[1]["stages"]


def test_words_that_this_library_needs_are_missed(command, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("".join(f"{word}\n" for word in ["xxunk", *range(18)]), "utf-8")
    ended = command(
        f"--input={REFERENCE / 'fastai.safetensors'}",
        f"--vocabulary={words}",
        f"--output_workdir={tmp_path / 'run'}",
    )
    assert ended.code == 0
    assert ended.stderr.splitlines() == [
        f"warning: {words} has no <unk>, which unknown words are read as",
        f"warning: {words} has no <eos>, which ends of lines are read as",
    ]


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "parts"),
        [
            ([], ["Missing: --input, --vocabulary, --output_workdir"]),
            (["--workdir=run"], ["Missing: --output. Too much: none"]),
            (["--output=a.safetensors"], ["Missing: --workdir"]),
            (["--input=a.safetensors", "--vocabulary=b"], ["Missing: --output_workdir"]),
            (
                ["--workdir=run", "--output=a.safetensors", "--input=b", "--preset=ptb"],
                ["Missing: none. Too much: --input, --preset"],
            ),
            (["--workdir=nowhere", "--output=a.safetensors"], ["There is no run in nowhere"]),
            (
                ["--input=nowhere.pth", "--vocabulary=b", "--output_workdir=c"],
                ["nowhere.pth, which is no file"],
            ),
        ],
    )
    def test_command_line(self, command, tmp_path, monkeypatch, arguments, parts):
        monkeypatch.chdir(tmp_path)
        assert_one_line(command(*arguments), *parts)
        assert not list(tmp_path.iterdir())

    def test_an_unknown_ending_and_a_folder_that_is_a_file(self, command, run, tmp_path):
        workdir, _ = run
        ended = command(f"--workdir={workdir}", f"--output={tmp_path / 'weights.h5'}")
        assert_one_line(ended, "must end in .safetensors, .pt, .pth")
        (tmp_path / "file").write_text("mine")
        ended = command(f"--workdir={workdir}", f"--output={tmp_path / 'file' / 'a.safetensors'}")
        assert_one_line(ended, str(tmp_path / "file"))
        assert [file.name for file in tmp_path.iterdir()] == ["file"]

    def test_a_vocabulary_that_does_not_fit(self, command, tmp_path):
        words, other = tmp_path / "words.txt", tmp_path / "other"
        arguments = [f"--input={REFERENCE / 'fastai.safetensors'}", f"--output_workdir={other}"]
        for content, part in (
            (b"a\nb\n", "must have 19 words, one for each row of the embedding"),
            (b"xxfake\nxxfake\n", "'xxfake' at positions 0 and 1"),
            (b"\xff\n", "is not a vocabulary"),
            (b"", "is not a vocabulary"),
        ):
            words.write_bytes(content)
            assert_one_line(command(*arguments, f"--vocabulary={words}"), str(words), part)
        missing = tmp_path / "missing.txt"
        assert_one_line(command(*arguments, f"--vocabulary={missing}"), str(missing))
        assert not other.exists()

    def test_weights_that_do_not_fit(self, command, tmp_path, words):
        weights, other = tmp_path / "weights.safetensors", tmp_path / "other"
        state_dict = io.read_state_dict(REFERENCE / "authors.safetensors")
        state_dict["decoder.bias"] = state_dict["decoder.bias"][:-1]
        io.write_state_dict(weights, state_dict)
        arguments = [f"--vocabulary={words}", f"--output_workdir={other}", f"--input={weights}"]
        expected = "decoder.bias has shape (18,), expected (19,)"
        assert_one_line(command(*arguments), expected)
        ended = command(*arguments, "--format=fastai")
        assert_one_line(ended, "1.decoder.bias is missing", "called decoder.bias")
        weights.write_bytes(weights.read_bytes()[:-1])
        assert_one_line(command(*arguments), "weights.safetensors cannot be read")
        assert not other.exists()

    def test_a_folder_in_use(self, command, run, words):
        workdir, _ = run
        ended = command(
            f"--input={REFERENCE / 'authors.safetensors'}",
            f"--vocabulary={words}",
            f"--output_workdir={workdir}",
        )
        assert_one_line(ended, "must be a new or empty folder", "nothing was changed")
