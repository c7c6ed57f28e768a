"""Tests of the texts for a trained run."""

import shutil

import pytest

from awd_keras.data import Vocabulary
from tests.trainers.trained_run import make_run, replace_facts
from trainers.errors import UserError
from trainers.run_text import load_run_corpus, read_text
from trainers.training import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_run(folder / "run", folder / "texts", corpus="text")
    return folder


def load(workdir, data_dir=None):
    return load_run_corpus(RunFolder(workdir), data_dir)


def test_corpus_may_have_moved(run, tmp_path):
    shutil.copytree(run / "texts", tmp_path / "moved")
    assert load(run / "run").digest == load(run / "run", tmp_path / "moved").digest


@pytest.mark.parametrize("name, words", [("train.txt", "other"), ("test.txt", "w1")])
def test_another_text_is_refused(run, tmp_path, name, words):
    shutil.copytree(run / "texts", tmp_path / "texts")
    file = tmp_path / "texts" / name
    file.write_text(f"{file.read_text('utf-8')}{words}\n", "utf-8")
    with pytest.raises(UserError, match="is not the text that the run was trained on"):
        load(run / "run", tmp_path / "texts")


def test_imported_run_takes_any_text_with_its_vocabulary(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    workdir, file = tmp_path / "copy" / "run", tmp_path / "copy" / "texts" / "test.txt"
    file.write_text("w1 w2\n")
    replace_facts(workdir, text_digest=None, num_tokens=None)
    assert len(load(workdir, file.parent).test) == 3
    (file.parent / "train.txt").write_text("w1 w2 <unk>\n")
    with pytest.raises(UserError, match="the words of the run, in the same order: 23. .* 4 words"):
        load(workdir, file.parent)


def test_any_file(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("a giraffe\n\n<unk> lion\n")
    token_ids, num_unknown = read_text(path, Vocabulary(["<unk>", "<eos>", "a"]))
    assert token_ids.tolist() == [2, 0, 1, 1, 0, 0, 1]
    assert num_unknown == 2
