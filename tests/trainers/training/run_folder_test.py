"""Tests of the run folder: whose it is, and what it keeps."""

import json

import pytest

from awd_keras.data import Vocabulary
from tests.trainers.training.tiny import RESULTS, make_config, make_corpus, make_texts
from trainers.errors import UserError
from trainers.training import RunFolder
from trainers.training.run_folder import METRICS_COLUMNS, write_beside


def snapshot(path):
    """Every file below a folder and its content."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.begin(make_config(), make_corpus())
    return folder


def make_row(step, **changes):
    row = {name: 0.1 * index for index, name in enumerate(METRICS_COLUMNS)}
    return {**row, "epoch": 1, "step": step, "averaging": 0, **changes}


class TestCheck:
    def test_a_missing_or_empty_folder_is_no_run_yet(self, tmp_path):
        assert not RunFolder(tmp_path).check()
        assert not RunFolder(tmp_path / "new").check()
        assert not (tmp_path / "new").exists()

    def test_a_run_killed_as_it_began_is_no_run_yet(self, tmp_path):
        (tmp_path / "config.json.partial").write_text("{")
        folder = RunFolder(tmp_path)
        assert not folder.check(make_config())
        folder.begin(make_config(), make_corpus())
        assert folder.check(make_config())

    def test_a_run_killed_after_its_settings_were_written(self, folder):
        folder.vocabulary_file.unlink()
        assert folder.check(make_config())
        folder.begin(make_config(), make_corpus())
        assert folder.read_vocabulary().words == make_corpus().vocabulary.words

    @pytest.mark.parametrize("function", ["check", "begin"])
    @pytest.mark.parametrize("name", ["thesis.txt", "config.json"])
    def test_other_folders_are_refused_and_left_alone(self, tmp_path, name, function):
        (tmp_path / name).write_text('{"architectures": []}')
        before = snapshot(tmp_path)
        arguments = [make_config()] + ([make_corpus()] if function == "begin" else [])
        with pytest.raises(UserError, match="not a run|not that of a run"):
            getattr(RunFolder(tmp_path), function)(*arguments)
        assert snapshot(tmp_path) == before

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "file.txt").write_text("text")
        with pytest.raises(UserError, match="is a file"):
            RunFolder(tmp_path / "file.txt").check()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"settings": {"nothing": 1}, "corpus": {}}'])
    def test_damaged_settings(self, folder, text):
        folder.config_file.write_text(text)
        with pytest.raises(UserError, match="config.json"):
            folder.check(make_config())

    def test_the_same_settings_go_on(self, folder):
        assert folder.check(make_config())
        assert folder.check(make_config(epochs=10, checkpoint_minutes=1.0, plot=True))

    @pytest.mark.parametrize("function", ["check", "begin"])
    def test_other_settings_are_named(self, folder, function):
        config = make_config(learning_rate=3.0, epochs=8, seed=9)
        arguments = [config] + ([make_corpus()] if function == "begin" else [])
        before = snapshot(folder.path)
        with pytest.raises(UserError, match=r"\(learning_rate: 10.0 -> 3.0; seed: 7 -> 9\)"):
            getattr(folder, function)(*arguments)
        assert snapshot(folder.path) == before


class TestInitialRun:
    @pytest.fixture
    def check(self, tmp_path, monkeypatch):
        """Function that checks a run from an initial run on record with another one."""
        monkeypatch.chdir(tmp_path)

        def check(recorded, given):
            (tmp_path / "tuned").mkdir(exist_ok=True)
            folder = RunFolder(tmp_path / "tuned")
            content = {"settings": make_config(initial_run=recorded).to_dict(), "corpus": {}}
            folder.config_file.write_text(json.dumps(content))
            return folder.check(make_config(initial_run=given))

        return check

    def test_one_run_by_two_paths(self, check, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "link").symlink_to("mine")
        for path in ("mine", "mine/", "tuned/../mine", "link", str(tmp_path / "mine")):
            assert check("mine", path) and check(path, "mine")

    def test_a_run_that_was_moved(self, check):
        assert check("/before/it/was/moved/mine", "mine")
        with pytest.raises(UserError, match="initial_run: /before/mine -> other"):
            check("/before/mine", "other")

    def test_another_run(self, check, tmp_path):
        (tmp_path / "a" / "mine").mkdir(parents=True)
        for recorded, given in (("a/mine", "b/mine"), (None, "mine"), ("mine", None)):
            with pytest.raises(UserError, match=f"initial_run: {recorded} -> {given}"):
                check(recorded, given)


class TestBegin:
    def test_settings_and_words_can_be_read(self, folder):
        config, facts = folder.read_config()
        assert config == make_config()
        assert facts["num_tokens"] == make_corpus().token_counts
        assert folder.read_vocabulary().words == make_corpus().vocabulary.words

    @pytest.mark.parametrize("split", ["train", "validation", "test"])
    def test_another_text_is_refused(self, folder, split):
        texts = make_texts()
        # The same words as often, in another order.
        texts[split] = texts[split][::-1]
        before = snapshot(folder.path)
        with pytest.raises(UserError, match="another text"):
            folder.begin(make_config(), make_corpus(texts))
        assert snapshot(folder.path) == before

    def test_the_words_of_another_run_are_refused(self, folder):
        words = make_corpus().vocabulary.words
        Vocabulary(words[::-1]).save(folder.vocabulary_file)
        with pytest.raises(UserError, match=r"expected sha256 \w{12}, .*Received: 21 words"):
            folder.read_vocabulary()
        content = json.loads(folder.config_file.read_text())
        del content["corpus"]["vocabulary_digest"]  # as before there was one
        folder.config_file.write_text(json.dumps(content))
        assert folder.read_vocabulary().words == words[::-1]

    def test_unreadable_words(self, folder):
        folder.vocabulary_file.write_bytes(b"\xff")
        with pytest.raises(UserError, match="vocabulary.txt cannot be read"):
            folder.read_vocabulary()


class TestMetrics:
    def test_floats_keep_all_digits(self, folder):
        folder.cut_metrics(0)
        loss = 1 / 3
        folder.append_metrics(make_row(5, train_loss=loss))
        (row,) = folder.read_metrics()
        assert float(row["train_loss"]) == loss
        assert list(row) == list(METRICS_COLUMNS)

    def test_rows_after_the_step_are_cut(self, folder):
        folder.cut_metrics(0)
        for step in (5, 10, 100):
            folder.append_metrics(make_row(step))
        folder.cut_metrics(10)
        assert [row["step"] for row in folder.read_metrics()] == ["5", "10"]
        content = folder.metrics_file.read_bytes()
        folder.cut_metrics(10)
        assert folder.metrics_file.read_bytes() == content

    def test_half_a_row_is_cut(self, folder):
        folder.cut_metrics(0)
        folder.append_metrics(make_row(5))
        whole = folder.metrics_file.read_bytes()
        folder.append_metrics(make_row(120))
        both = folder.metrics_file.read_bytes()
        for length in range(len(whole), len(both)):
            folder.metrics_file.write_bytes(both[:length])
            # Half of 120 may read 12.
            folder.cut_metrics(50)
            assert folder.metrics_file.read_bytes() == whole

    def test_half_a_row_in_the_middle_is_cut(self, folder):
        folder.cut_metrics(0)
        folder.append_metrics(make_row(5))
        whole = folder.metrics_file.read_bytes()
        folder.metrics_file.write_bytes(whole + b"1,6\n\0\0\n")
        folder.cut_metrics(50)
        assert folder.metrics_file.read_bytes() == whole

    def test_no_file_no_rows(self, folder):
        assert folder.read_metrics() == []


class TestResults:
    def test_round_trip(self, folder):
        assert folder.read_results() is None
        folder.write_results(RESULTS)
        assert folder.read_results() == RESULTS
        assert json.loads(folder.results_file.read_text()) == RESULTS

    def test_damaged(self, folder):
        folder.results_file.write_text("{")
        with pytest.raises(UserError, match="results.json cannot be read"):
            folder.read_results()

    @pytest.mark.parametrize(
        "results",
        [
            {},
            [1],
            None,
            {**RESULTS, "reason": 1},
            {**RESULTS, "epochs": "3"},
            {**RESULTS, "test": [1]},
            {**RESULTS, "validation": {"loss": 1.0}},
            {name: value for name, value in RESULTS.items() if name != "triggered_at_step"},
        ],
    )
    def test_not_those_of_a_run(self, folder, results):
        folder.write_results(results)
        with pytest.raises(UserError, match=r"results.json is not .*expected.*Received.*Move"):
            folder.read_results()

    def test_an_infinite_perplexity_is_one(self, folder):
        folder.write_results({**RESULTS, "test": {"perplexity": float("inf")}})
        assert folder.read_results()["test"]["perplexity"] == float("inf")


class TestBest:
    def test_set_aside_and_brought_back(self, folder):
        folder.best_checkpoint.parent.mkdir(parents=True)
        folder.best_checkpoint.write_bytes(b"on record")
        folder.set_best_aside()
        assert folder.best_checkpoint.read_bytes() == b"on record"
        folder.best_checkpoint.write_bytes(b"later")
        folder.bring_best_back()
        assert folder.best_checkpoint.read_bytes() == b"on record"
        folder.best_checkpoint.write_bytes(b"better")
        folder.bring_best_back()
        assert folder.best_checkpoint.read_bytes() == b"better"


def test_write_beside_keeps_the_old_file_if_it_cannot_write(tmp_path):
    path = tmp_path / "file.txt"
    write_beside(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_beside(path, "new \ud800")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]
