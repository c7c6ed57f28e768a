"""Tests of folders: to whom they belong, what may be resumed, what they contain."""

import errno
import json
import os
import warnings
from unittest import mock

import numpy as np
import pytest

from awd_keras.data import Corpus, Tokenizer, Vocabulary
from tests.trainers.training.tiny import (
    RESULTS,
    digests,
    make_config,
    make_corpus,
    make_texts,
)
from trainers.errors import UserError
from trainers.training import RunFolder, write_checkpoint
from trainers.training.run_folder import METRICS_COLUMNS, RecordedFolder

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.begin(make_config(), make_corpus())
    return folder


def make_row(step):
    row = {name: 0.1 * index for index, name in enumerate(METRICS_COLUMNS)}
    return {**row, "epoch": 1, "step": step, "averaging": 0}


class TestCheck:
    def test_a_missing_or_empty_folder(self, tmp_path):
        assert not RunFolder(tmp_path).check()
        assert not RunFolder(tmp_path / "new").check()
        assert not (tmp_path / "new").exists()

    def test_a_run_killed_while_it_began(self, tmp_path):
        (tmp_path / ".config.json.1.partial").write_text("{")
        folder = RunFolder(tmp_path)
        assert not folder.check(make_config())
        folder.begin(make_config(), make_corpus())
        folder.vocabulary_file.unlink()
        folder.begin(make_config(), make_corpus())
        assert folder.read_vocabulary().words == make_corpus().vocabulary.words

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("thesis.txt", "years of work"),
            ("config.json", '{"architectures": []}'),
            ("config.json", '{"settings": {"nothing": 1}, "corpus": {"name": "x"}}'),
        ],
    )
    def test_another_folder_is_refused_and_not_changed(self, tmp_path, name, content):
        (tmp_path / name).write_text(content)
        before = digests(tmp_path)
        with pytest.raises(UserError, match="not a run folder|config.json cannot be read"):
            RunFolder(tmp_path).begin(make_config(), make_corpus())
        assert digests(tmp_path) == before

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").write_text("text")
        with pytest.raises(UserError, match="is a file, not a run folder"):
            RunFolder(tmp_path / "file").check()

    def test_settings_that_may_change(self, folder):
        assert folder.check(make_config(epochs=10, checkpoint_minutes=1.0, plot=True))

    def test_other_settings_are_named(self, folder):
        config = make_config(learning_rate=3.0, epochs=8, seed=9)
        before = digests(folder.path)
        with pytest.raises(UserError, match=r"\(learning_rate: 10.0 -> 3.0; seed: 7 -> 9\)"):
            folder.begin(config, make_corpus())
        assert digests(folder.path) == before

    @pytest.mark.parametrize("split", ["train", "validation", "test"])
    def test_another_text(self, folder, split):
        texts = make_texts()
        texts[split] = texts[split][::-1]  # the same words in another order
        before = digests(folder.path)
        with pytest.raises(UserError, match="started with another text"):
            folder.begin(make_config(), make_corpus(texts))
        assert digests(folder.path) == before

    def test_options(self, tmp_path):
        folder = RecordedFolder(tmp_path, "search", may_change=("max_trials",))
        options = {"tuner": "random", "max_trials": 5}
        folder.begin(make_config(), make_corpus(), options)
        assert folder.record_file.name == "search.json"
        assert json.loads(folder.record_file.read_text())["options"] == options
        assert folder.check(make_config(), {"tuner": "random", "max_trials": 9})
        with pytest.raises(UserError, match=r"has other settings \(tuner: random -> bay"):
            folder.check(make_config(), {"tuner": "bayesian"})


def test_the_vocabulary_has_the_tokenizer_of_the_run(tmp_path):
    texts = {split: ["No, no!"] for split in ("train", "validation", "test")}
    corpus = Corpus.from_texts("raw", texts, tokenizer=Tokenizer("character", lowercase=True))
    folder = RunFolder(tmp_path)
    folder.begin(make_config(tokenizer="character", lowercase=True), corpus)
    assert folder.read_vocabulary() == corpus.vocabulary


class TestLock:
    def test_one_at_a_time(self, tmp_path):
        first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
        with first.lock():
            with pytest.raises(UserError, match="Another process is working in"), second.lock():
                pass
        with second.lock():
            pass

    def test_a_file_system_without_locks(self, tmp_path, monkeypatch):
        monkeypatch.setattr("trainers.training.run_folder.fcntl", None)
        with RunFolder(tmp_path).lock(), RunFolder(tmp_path).lock():
            pass

    @pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.ENOLCK])
    def test_a_file_system_that_answers_with_an_error(self, tmp_path, code):
        error = OSError(code, os.strerror(code))
        with (
            mock.patch.object(fcntl, "flock", side_effect=error),
            warnings.catch_warnings(record=True) as shown,
        ):
            for kind in ("run", "search", "ablation"):
                with RecordedFolder(tmp_path / kind, kind).lock():
                    pass
        (_, search, _) = map(str, (warning.message for warning in shown))
        assert search == (
            f"cannot lock {tmp_path / 'search'} ({os.strerror(code)}), so do not start a second "
            "process on it"
        )


class TestVocabulary:
    def test_another_one_is_refused(self, folder):
        words = make_corpus().vocabulary.words
        Vocabulary(words[::-1]).save(folder.vocabulary_file)
        with pytest.raises(UserError, match=r"expected sha256 \w{12}. Received: 21 words"):
            folder.read_vocabulary()

    def test_unreadable(self, folder):
        folder.vocabulary_file.write_bytes(b"\xff")
        with pytest.raises(UserError, match="vocabulary.txt cannot be read"):
            folder.read_vocabulary()


class TestMetrics:
    def test_floats_keep_all_digits(self, folder):
        folder.truncate_metrics(0)
        folder.append_metrics(**{**make_row(5), "train_loss": 1 / 3})
        (row,) = folder.read_metrics()
        assert float(row["train_loss"]) == 1 / 3
        assert tuple(row) == METRICS_COLUMNS

    def test_later_rows_are_removed(self, folder):
        assert folder.read_metrics() == []
        folder.truncate_metrics(0)
        for step in (5, 10, 100):
            folder.append_metrics(**make_row(step))
        folder.truncate_metrics(10)
        assert [row["step"] for row in folder.read_metrics()] == ["5", "10"]

    def test_half_a_row_is_removed(self, folder):
        folder.truncate_metrics(0)
        folder.append_metrics(**make_row(5))
        whole = folder.metrics_file.read_bytes()
        folder.append_metrics(**make_row(120))
        both = folder.metrics_file.read_bytes()
        for length in range(len(whole), len(both)):
            folder.metrics_file.write_bytes(both[:length])
            folder.truncate_metrics(50)  # half of 120 may read 12
            assert folder.metrics_file.read_bytes() == whole

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"epoch,", b""),
            (b"epoch,", b"time,"),
            (b",5,", b",5.5,"),
            (b"0.4,", b","),
            (b"0.4,", b"low,"),
            (b"0.4,", b"nan,"),
            (b"0.4,", b"0.4,0.4,"),
        ],
    )
    def test_damaged(self, folder, old, new):
        folder.truncate_metrics(0)
        folder.append_metrics(**make_row(5))
        folder.metrics_file.write_bytes(folder.metrics_file.read_bytes().replace(old, new))
        with pytest.raises(UserError, match="metrics.csv cannot be read"):
            folder.read_metrics()


class TestResults:
    def test_round_trip(self, folder):
        assert folder.read_results() is None
        folder.write_results(RESULTS)
        assert folder.read_results() == json.loads(folder.results_file.read_text()) == RESULTS

    def test_damaged(self, folder):
        folder.results_file.write_text(json.dumps({**RESULTS, "test": 3}))
        with pytest.raises(UserError, match="results.json cannot be read"):
            folder.read_results()


class TestBest:
    @pytest.fixture
    def best(self, folder):
        folder.truncate_metrics(0)
        for step, loss in ((5, 3.0), (10, 2.0), (15, 2.5)):
            folder.append_metrics(**{**make_row(step), "validation_loss": loss})
        self.save(folder.best_checkpoint)
        return folder.best_checkpoint

    def save(self, path, step=10, loss=2.0):
        validation = {"total_loss": loss * 8, "num_tokens": 8}
        write_checkpoint(path, {}, {"step": step, "validation": validation})

    def test_on_disk(self, folder, best):
        folder.check_best(15, 2.0)
        assert folder.read_best()[1]["step"] == 10
        # Saved by a process that was killed before it saved its state.
        self.save(best, 20, 1.5)
        folder.check_best(15, 2.0)

    def test_before_the_first_validation(self, folder):
        folder.check_best(3, None)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda best: best.unlink(),
            lambda best: best.write_bytes(b""),
            lambda best: best.write_bytes(best.read_bytes()[:-30]),
            lambda best: write_checkpoint(best, {}, {"state": {"step": 15}}),  # the last one
            lambda best: write_checkpoint(best, {}, {"step": 10, "validation": "2.0"}),
            lambda best: write_checkpoint(best, {"w": np.array([np.nan])}, {"step": 10}),
        ],
    )
    def test_lost(self, folder, best, damage):
        damage(best)
        message = r"On record: validation perplexity 7.39 at step 10. Restore .* --forget_best"
        for check in (folder.read_best, lambda: folder.check_best(15, 2.0)):
            with pytest.raises(UserError, match=message):
                check()

    def test_other_weights(self, folder, best):
        self.save(best, 15, 2.5)
        with pytest.raises(UserError, match="not on record. On record: .* 7.39 at step 10"):
            folder.check_best(15, 2.0)

    def test_those_of_an_initial_run(self, folder):
        with pytest.raises(UserError, match="There is no .*On record: .* 2.72 at step 0"):
            folder.check_best(15, 1.0)

    def test_the_last_ones_are_lost(self, folder, best):
        with pytest.raises(UserError, match="would replace the best weights"):
            folder.check_last()
        write_checkpoint(folder.last_checkpoint, {}, {})
        folder.check_last()

    def test_killed_before_the_last_ones_were_saved(self, folder, best):
        folder.truncate_metrics(5)
        folder.check_last()

    def test_they_are_stashed_and_restored(self, folder, best):
        folder.stash_best()
        self.save(best, 15, 1.0)
        folder.check_best(15, 2.0)
        folder.restore_best()
        assert folder.read_best()[1]["step"] == 10
        self.save(best, 20, 1.5)
        unfinished = best.with_name(".checkpoint.npz.1.partial")
        unfinished.touch()  # by a process that was killed
        folder.restore_best()
        assert folder.read_best()[1]["step"] == 20 and not unfinished.exists()
