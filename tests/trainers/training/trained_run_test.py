import os

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from tests.test_case import assert_equal
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training import RunFolder, factory
from trainers.training.trained_run import write_trained_run

CONFIG = TrainingConfig(
    corpus="text", embedding_dim=6, hidden_dim=10, num_layers=2, dtype="float32", seed=5
)
VOCABULARY = Vocabulary(["<unk>", "<eos>", "a", "b", "é"])
TOKENS = np.array([[0, 1, 2, 3, 4]], "int32")


@pytest.fixture(scope="module")
def model():
    return factory.build_model(CONFIG.replace(seed=6), len(VOCABULARY))


def write(path, model, vocabulary=VOCABULARY, config=CONFIG):
    return write_trained_run(path, model, vocabulary, config, "letters", "weights.pth")


def everything_in(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


@pytest.mark.parametrize("exists", [True, False])
def test_the_run_is_loaded_as_a_trained_one(tmp_path, model, exists):
    path = tmp_path / "runs" / "mine"
    if exists:
        path.mkdir(parents=True)
    folder = write(str(path), model)
    assert folder.check(CONFIG)
    loaded, vocabulary, config = factory.load_run(path)
    assert (vocabulary, config) == (VOCABULARY, CONFIG)
    assert_equal(loaded(TOKENS)[0], model(TOKENS)[0])
    facts = RunFolder(path).read_config()[1]
    assert facts["name"] == "letters" and facts["weights_from"] == "weights.pth"
    assert facts["vocabulary_digest"] == VOCABULARY.digest
    assert everything_in(path.parent) == [
        "mine",
        "mine/checkpoints",
        "mine/checkpoints/best",
        "mine/checkpoints/best/checkpoint.npz",
        "mine/config.json",
        "mine/vocabulary.txt",
    ]
    assert RunFolder(path).read_results() is None and RunFolder(path).read_metrics() == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path, model):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match="must be a new or empty folder"):
            write(path, model)
    assert everything_in(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("vocabulary", "config", "received"),
    [
        (Vocabulary(["a", "b"]), CONFIG, "'vocabulary_size': 2"),
        (VOCABULARY, CONFIG.replace(embedding_dim=7), "'embedding_dim': 7"),
        (VOCABULARY, CONFIG.replace(hidden_dim=11), "'hidden_dim': 11"),
        (VOCABULARY, CONFIG.replace(num_layers=3), "'num_layers': 3"),
        (VOCABULARY, CONFIG.replace(tie_weights=False), "'tie_weights': False"),
    ],
)
def test_what_belongs_to_another_model(tmp_path, model, vocabulary, config, received):
    with pytest.raises(UserError, match="Received: .*" + received):
        write(tmp_path / "run", model, vocabulary, config)
    assert not everything_in(tmp_path)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_nothing(tmp_path, model, monkeypatch, failing, exists):
    if exists:
        (tmp_path / "run").mkdir()

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, no_space)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "run", model)
    assert everything_in(tmp_path) == (["run"] if exists else [])


def test_names_with_dots(tmp_path, model, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write("../there", model)
    assert factory.load_run(tmp_path / "there")[1] == VOCABULARY
