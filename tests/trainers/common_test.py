"""Tests of what the training commands share: what a folder has on record counts."""

import os

import pytest

from tests.trainers.training.tiny import RESULTS, make_config, make_corpus
from trainers import common
from trainers.errors import UserError
from trainers.training import RunFolder, factory


def finish(path, **changes):
    """Makes the folder of a run that is finished, of which nothing but its end is there."""
    folder = RunFolder(path)
    folder.begin(make_config(**changes), make_corpus())
    folder.write_results(RESULTS)


@pytest.fixture
def hardware(monkeypatch):
    """Function that says which dtype the hardware is for."""

    def pretend(dtype):
        monkeypatch.setattr(
            factory,
            "resolve_dtype",
            lambda asked: (
                (asked, "as asked") if asked != "auto" else (dtype, "this CPU multiplies it")
            ),
        )

    return pretend


class TestDtype:
    @pytest.mark.parametrize("recorded", ["float32", "bfloat16"])
    def test_auto_is_what_the_folder_has(self, hardware, recorded):
        hardware("float32" if recorded == "bfloat16" else "bfloat16")
        assert common.resolve_dtype("auto", recorded) == (recorded, "as the run began")

    @pytest.mark.parametrize("recorded", [None, "auto", "int8", 3])
    def test_by_the_hardware_where_nothing_is_on_record(self, hardware, recorded):
        hardware("bfloat16")
        assert common.resolve_dtype("auto", recorded) == ("bfloat16", "this CPU multiplies it")

    def test_as_asked(self, hardware):
        hardware("bfloat16")
        assert common.resolve_dtype("float32", "bfloat16") == ("float32", "as asked")

    @pytest.mark.parametrize("recorded", ["float32", "bfloat16"])
    def test_a_finished_run_is_finished_on_other_hardware_too(
        self, hardware, tmp_path, capsys, recorded
    ):
        hardware("float32" if recorded == "bfloat16" else "bfloat16")
        finish(tmp_path / "run", dtype=recorded)
        assert common.train(make_config(dtype="auto"), tmp_path / "run", True) == 0
        assert "is finished" in capsys.readouterr().out

    def test_another_that_is_asked_for_is_refused(self, hardware, tmp_path, capsys):
        hardware("float32")
        finish(tmp_path / "run", dtype="float32")
        assert common.train(make_config(dtype="bfloat16"), tmp_path / "run", True) == 1
        assert "(dtype: float32 -> bfloat16)" in capsys.readouterr().err


class TestRecordedSetting:
    def test_of_a_file(self, tmp_path):
        (tmp_path / "search.json").write_text('{"dtype": "bfloat16"}')
        assert common.recorded_setting(tmp_path / "search.json", "dtype") == "bfloat16"

    @pytest.mark.parametrize("content", ["{", "[]", "{}", None])
    def test_none(self, tmp_path, content):
        if content is not None:
            (tmp_path / "search.json").write_text(content)
        assert common.recorded_setting(tmp_path / "search.json", "dtype") is None


class TestInitialRun:
    @pytest.mark.parametrize("recorded", ["mine", "ABSOLUTE"])
    def test_it_is_the_same_run_from_another_current_directory(
        self, tmp_path, monkeypatch, capsys, recorded
    ):
        (tmp_path / "elsewhere").mkdir()
        finish(tmp_path / "mine")
        recorded = recorded.replace("ABSOLUTE", str(tmp_path / "mine"))
        finish(tmp_path / "tuned", initial_run=recorded)
        for here, initial in ((tmp_path, "mine"), (tmp_path / "elsewhere", "../mine/")):
            monkeypatch.chdir(here)
            workdir = os.path.relpath(tmp_path / "tuned")
            assert common.train(make_config(initial_run=initial), workdir, True) == 0
            assert "is finished" in capsys.readouterr().out

    def test_its_record_does_not_depend_on_the_current_directory(self, tmp_path, monkeypatch):
        recorded = []
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(
            "awd_keras.data.load_corpus", lambda *_: recorded.append("loaded") or make_corpus()
        )

        def train(model, optimizer, corpus, config, *_, **__):
            recorded.append(config.initial_run)
            raise UserError("that is enough")

        monkeypatch.setattr("trainers.training.train_and_evaluate", train)
        assert common.train(make_config(initial_run="a/../mine/"), "tuned", True) == 1
        assert recorded == ["loaded", str(tmp_path / "mine")]
