"""Tests of `trainers.convert`."""

import json
import pathlib

import numpy as np

from awd_keras import io
from tests.test_case import assert_equal
from tests.trainers.in_process import assert_one_line
from tests.trainers.trained_run import make_run
from trainers.training import factory

MODULE = "trainers.convert"
REFERENCE = pathlib.Path(__file__).parents[1] / "io" / "reference"
TOKENS = np.array([[3, 1, 4, 1, 5, 9, 2, 6]], "int32")


def test_export_and_import(command, tmp_path):
    workdir, weights, other = tmp_path / "run", tmp_path / "weights.safetensors", tmp_path / "other"
    model, vocabulary = make_run(workdir)
    ended = command(f"--workdir={workdir}", f"--output={weights}", "--format=fastai")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"wrote {weights}: {model.count_params():,} parameters",
        f"vocabulary: {workdir}/vocabulary.txt",
    ]
    expected = io.to_pytorch(model, "fastai")
    actual = io.read_state_dict(weights)
    assert set(actual) == set(expected)
    for name, array in expected.items():
        assert_equal(actual[name], array)

    ended = command(
        f"--input={weights}",
        f"--vocabulary={workdir}/vocabulary.txt",
        f"--output_workdir={other}",
        "--corpus=text",
        "--data_dir=texts",
        "--preset=wikitext103_qrnn",
    )
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"model: {model.count_params():,} parameters, 23 words, embedding_dim=6, hidden_dim=8, "
        "num_layers=2, tie_weights=True, rnn=lstm",
        f"run folder: {other}",
    ]
    loaded, words, config = factory.load_run(other)
    assert_equal(loaded(TOKENS)[0], model(TOKENS)[0])
    assert words == vocabulary
    assert (config.corpus, config.data_dir, config.dtype) == ("text", "texts", "float32")
    assert (config.input_dropout, config.adaptive_softmax_cutoffs) == (0.1, ())
    facts = json.loads((other / "config.json").read_text())["corpus"]
    assert facts["weights_from"] == str(weights)


def test_the_vocabulary(command, tmp_path):
    words, other = tmp_path / "words.txt", tmp_path / "other"
    arguments = [
        f"--input={REFERENCE / 'fastai.safetensors'}",
        f"--output_workdir={other}",
        f"--vocabulary={words}",
    ]
    words.write_text("a\nb\n")
    assert_one_line(command(*arguments), "must have one word for each of the 19 rows")
    assert not other.exists()
    words.write_text("".join(f"{word}\n" for word in ["xxunk", *range(18)]))
    ended = command(*arguments)
    assert ended.code == 0
    assert ended.stderr.splitlines() == [
        f"warning: {words} does not contain <unk>; if xxunk is that word, add --unk_word=xxunk.",
        f"warning: {words} does not contain <eos>; see --eos_word.",
    ]


def test_words_that_stand_for_the_marks(command, tmp_path):
    words, other = tmp_path / "words.txt", tmp_path / "other"
    arguments = [f"--input={REFERENCE / 'fastai.safetensors'}", f"--vocabulary={words}"]
    arguments += [f"--output_workdir={other}", "--tokenizer=character"]
    words.write_text("".join(f"{word}\n" for word in [*range(17), "xxunk", "xxbos"]))
    assert_one_line(command(*arguments, "--unk_word=UNK"), "--unk_word must be a word of", "=UNK")
    ended = command(*arguments, "--unk_word=xxunk", "--eos_word=xxbos")
    assert (ended.code, ended.stderr) == (0, "")
    assert f"<unk>: xxunk in {words}\n<eos>: xxbos in {words}\n" in ended.stdout
    _, vocabulary, _ = factory.load_run(other)
    assert vocabulary.words[-2:] == ("<unk>", "<eos>")
    assert vocabulary.tokenizer.name == "character"
    words.write_text("".join(f"{word}\n" for word in [*range(17), "xxunk", "<unk>"]))
    assert_one_line(command(*arguments, "--unk_word=xxunk"), "must not contain <unk>")


def test_flags_of_one_direction(command):
    ended = command("--workdir=run", "--output=a.safetensors", "--input=b")
    assert_one_line(ended, "--workdir and --output to export", "to import")
