"""Tests of the texts of a finished run."""

import shutil

import pytest

from awd_keras.errors import InputError
from tests.trainers.trained_run import make_run, replace_facts
from trainers.run_text import load_run_corpus
from trainers.training import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder and its texts; nobody changes them."""
    folder = tmp_path_factory.mktemp("run")
    make_run(folder / "run", folder / "texts", corpus="text")
    return folder


def load(workdir, data_dir=None):
    folder = RunFolder(workdir)
    return load_run_corpus(*folder.read_config(), folder.read_vocabulary(), data_dir)


def test_the_texts_of_the_run_wherever_they_are_now(run, tmp_path):
    shutil.copytree(run / "texts", tmp_path / "moved")
    assert load(run / "run").token_counts == load(run / "run", tmp_path / "moved").token_counts


@pytest.mark.parametrize("name", ["train.txt", "valid.txt", "test.txt"])
def test_another_text_in_the_same_words_is_refused(run, tmp_path, name):
    shutil.copytree(run / "texts", tmp_path / "texts")
    file = tmp_path / "texts" / name
    file.write_text(file.read_text("utf-8") + "w1\n", "utf-8")
    with pytest.raises(InputError, match=r"expected \d+ train, .*Received: .*--data_dir") as error:
        load(run / "run", tmp_path / "texts")
    assert "\n" not in str(error.value) and str(tmp_path / "texts") in str(error.value)


def test_a_run_that_has_no_texts_on_record_takes_any_in_its_words(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    workdir, file = tmp_path / "copy" / "run", tmp_path / "copy" / "texts" / "test.txt"
    file.write_text("w1 w2\n")
    replace_facts(workdir, text_digest=None)
    assert len(load(workdir, file.parent).test) == 3
