"""Tests of the run that another starts from: it stays as it is, or is refused."""

import pytest

from tests.trainers.training.tiny import (
    digests,
    fine_tuning,
    make_config,
    make_corpus,
    make_texts,
    run,
)
from trainers.errors import UserError
from trainers.training import RunFolder


def test_the_run_it_starts_from_is_not_changed(initial, tmp_path):
    before = digests(initial)
    assert "checkpoints/best/checkpoint.npz" in before
    run(tmp_path / "run", fine_tuning(initial, epochs=1))
    assert digests(initial) == before


class TestBadInput:
    """Nothing is written before it is found."""

    def assert_refused(self, tmp_path, error, match, corpus=None, **changes):
        initial = changes.pop("initial", tmp_path / "initial")
        with pytest.raises(error, match=match):
            run(tmp_path / "run", fine_tuning(initial, **changes), corpus)
        assert not (tmp_path / "run").exists()

    def test_no_run(self, tmp_path):
        self.assert_refused(tmp_path, UserError, "There is no run in .*initial to start from")

    def test_a_run_without_weights(self, tmp_path):
        RunFolder(tmp_path / "initial").begin(make_config(), make_corpus())
        self.assert_refused(tmp_path, UserError, "There is no checkpoint .*best")

    def test_other_words(self, initial, tmp_path):
        corpus = make_corpus({**make_texts(), "train": [*make_texts()["train"], "another"]})
        match = "its words are not those of tiny .* 22 words"
        self.assert_refused(tmp_path, UserError, match, corpus, initial=initial)

    def test_another_size(self, initial, tmp_path):
        match = r"has shape \(.*\), expected"
        self.assert_refused(tmp_path, UserError, match, initial=initial, hidden_dim=9)
