"""The model that comes with the package, and how one is made."""

import json
import os
import pathlib
import re

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from awd_keras.evaluation import LineScorer
from tests.test_case import assert_close, assert_equal
from tests.trainers.trained_run import make_run
from trainers.errors import UserError
from trainers.training import RunFolder, bundled, factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "run"
    return workdir, *make_run(workdir, data_dir=workdir.with_name("texts"))


class TestWriteAndRead:
    @pytest.mark.parametrize("tied", [True, False])
    def test_weights_come_back_in_8_bits(self, tmp_path, tied):
        model, vocabulary = make_run(tmp_path / "run", tie_weights=tied)
        num_bytes = bundled.write_bundled_model(tmp_path / "run", tmp_path / "small")
        assert num_bytes == sum(path.stat().st_size for path in (tmp_path / "small").iterdir())
        small, words, config = bundled.read_bundled_model(tmp_path / "small")
        assert words == vocabulary and config.tie_weights == tied
        for variable, other in zip(model.weights, small.weights, strict=True):
            if len(variable.shape) == 1:
                assert_equal(other, variable)
            else:
                assert_close(other, variable, 0.5 / 127 + 1e-6, variable.path)
                assert np.any(other.numpy() != variable.numpy())
        # A word's row is as exact as its own largest number allows.
        rows = model.backbone.embedding.embeddings.numpy()
        errors = np.abs(small.backbone.embedding.embeddings.numpy() - rows).max(axis=1)
        assert np.all(errors <= np.abs(rows).max(axis=1) * 0.5 / 127 + 1e-6)

    def test_no_folder_of_the_machine_is_on_record(self, run, tmp_path):
        assert factory.load_run(run[0])[2].data_dir is not None
        bundled.write_bundled_model(run[0], tmp_path / "small")
        assert bundled.read_bundled_model(tmp_path / "small")[2].data_dir is None
        assert str(run[0].parent) not in (tmp_path / "small" / "config.json").read_text()

    def test_the_same_run_gives_the_same_bytes(self, run, tmp_path):
        for name in ("1", "2"):
            bundled.write_bundled_model(run[0], tmp_path / name)
        for file in (tmp_path / "1").iterdir():
            assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes(), file.name

    def test_results_come_along(self, tmp_path):
        make_run(tmp_path / "run")
        quality = {"perplexity": 12.34, "loss": 2.5129, "num_tokens": 9}
        results = {
            "reason": "finished",
            "epochs": 1,
            "triggered_at_step": None,
            "validation": quality,
            "test": quality,
        }
        RunFolder(tmp_path / "run").write_results(results)
        bundled.write_bundled_model(tmp_path / "run", tmp_path / "small")
        text = bundled.describe(tmp_path / "small")
        assert text == "the bundled model: text, 23 words, test perplexity 12.3"

    def test_a_failure_leaves_the_older_one(self, run, tmp_path, monkeypatch):
        bundled.write_bundled_model(run[0], tmp_path / "small")

        def no_space(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "savez_compressed", no_space)
        with pytest.raises(OSError, match="No space left"):
            bundled.write_bundled_model(run[0], tmp_path / "small")
        assert os.listdir(tmp_path) == ["small"]
        assert bundled.read_bundled_model(tmp_path / "small")[1] == run[2]

    @pytest.mark.parametrize("name", ["docs", "run"])
    def test_a_folder_of_something_else_is_refused(self, tmp_path, name):
        make_run(tmp_path / "run")
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "thesis.txt").write_text("years of work")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError, match=f"Received: .*{name} with .*--output; nothing"):
            bundled.write_bundled_model(tmp_path / "run", tmp_path / name)
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_file_more_is_not_deleted(self, run, tmp_path):
        bundled.write_bundled_model(run[0], tmp_path / "small")
        (tmp_path / "small" / "notes.txt").write_text("mine")
        with pytest.raises(UserError, match="notes.txt"):
            bundled.write_bundled_model(run[0], tmp_path / "small")
        with pytest.raises(UserError, match="is a file"):
            bundled.write_bundled_model(run[0], tmp_path / "small" / "notes.txt")

    def test_killed_at_any_rename_one_of_the_two_is_complete(self, run, tmp_path, monkeypatch):
        class Killed(BaseException):
            pass

        for call in (1, 2):
            folder = tmp_path / str(call) / "small"
            bundled.write_bundled_model(run[0], folder)
            rename, count = pathlib.Path.rename, [0]

            def kill(path, target, call=call, rename=rename, count=count):
                count[0] += 1
                if count[0] == call:
                    raise Killed
                return rename(path, target)

            monkeypatch.setattr(pathlib.Path, "rename", kill)
            with pytest.raises(Killed):
                bundled.write_bundled_model(run[0], folder)
            monkeypatch.setattr(pathlib.Path, "rename", rename)
            (left,) = folder.parent.iterdir()
            assert bundled.read_bundled_model(left)[1] == run[2]

    def test_a_rename_that_fails_leaves_the_older_one(self, run, tmp_path, monkeypatch):
        folder = tmp_path / "small"
        bundled.write_bundled_model(run[0], folder)
        rename = pathlib.Path.rename

        def fail(path, target):
            if path.name.endswith(".partial"):
                raise OSError(13, "Permission denied")
            return rename(path, target)

        monkeypatch.setattr(pathlib.Path, "rename", fail)
        with pytest.raises(OSError, match="Permission denied"):
            bundled.write_bundled_model(run[0], folder)
        assert os.listdir(tmp_path) == ["small"]
        assert bundled.read_bundled_model(folder)[1] == run[2]

    def test_a_damaged_one_is_named(self, run, tmp_path):
        folder = tmp_path / "small"
        with pytest.raises(UserError, match="There is no bundled model in"):
            bundled.read_bundled_model(folder)
        bundled.write_bundled_model(run[0], folder)
        content = (folder / "weights.npz").read_bytes()
        (folder / "weights.npz").write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match="cannot be read.*--workdir"):
            bundled.read_bundled_model(folder)
        Vocabulary(["<unk>", "<eos>"]).save(folder / "vocabulary.txt")
        (folder / "weights.npz").write_bytes(content)
        with pytest.raises(UserError, match="has shape .23, 6., not .2, 6."):
            bundled.read_bundled_model(folder)


class TestLoadModel:
    def test_a_run_if_there_is_one(self, run):
        model, vocabulary, config = bundled.load_model(run[0])
        for variable, other in zip(model.weights, run[1].weights, strict=True):
            assert_equal(variable, other)
        assert vocabulary == run[2] and config.data_dir is not None
        with pytest.raises(UserError, match="There is no run in"):
            bundled.load_model(run[0].with_name("nowhere"))


class TestTheBundledModel:
    def test_it_is_small_and_trained(self):
        assert sum(path.stat().st_size for path in bundled.FOLDER.iterdir()) < 5e6
        facts = json.loads((bundled.FOLDER / "config.json").read_text("utf-8"))
        assert facts["corpus"]["name"] == "sotu-1900"
        assert re.fullmatch(
            r"the bundled model: sotu-1900, 10,000 words, test perplexity \d+\.\d",
            bundled.describe(),
        )

    def test_it_knows_english(self):
        model, vocabulary, _ = bundled.load_model()
        scores = LineScorer(model, vocabulary).score(
            ["the congress of the united states", "states united the of congress the"]
        )
        good, bad = [score.log_probability for score in scores]
        # exp(-good / 7) is what the line costs a word.
        assert good > bad + 15 and good > -7 * np.log(30)
