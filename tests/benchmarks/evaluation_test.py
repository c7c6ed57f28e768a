"""Tests of the measurement of the cache's and of scoring's time, with tiny sizes."""

import re
import sys

import numpy as np
import pytest

from benchmarks import evaluation
from benchmarks.workload import Workload

TINY = Workload(vocabulary_size=50, embedding_dim=6, hidden_dim=8, num_layers=2)


@pytest.fixture(scope="module")
def made():
    lines = evaluation.made_lines(12, vocabulary_size=50)
    return lines, *evaluation.build(TINY, lines)


def test_lines_are_made_of_words_again_and_again_the_same():
    lines = evaluation.made_lines(20)
    assert lines == evaluation.made_lines(20) and len(lines) == 20
    assert all(re.fullmatch(r"(w\d+ )*w\d+", line) for line in lines)
    assert all(2 <= len(line.split()) <= 40 for line in lines)


def test_lines_of_a_folder(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(f" {split} one \n{split} two\n")
    assert evaluation.read_lines(tmp_path, 1) == ["train one"]
    assert len(evaluation.read_lines(None, 3)) == 3


def test_the_vocabulary_fits_the_model(made):
    lines, model, vocabulary = made
    assert len(vocabulary) == model.backbone.vocabulary_size == 50
    assert set(" ".join(lines).split()) <= set(vocabulary.words)


def test_cache_and_plain_take_turns(made):
    seconds = evaluation.measure_cache(made[1], np.arange(40) % 50, rounds=2)
    assert list(seconds) == ["without a cache", "cache of 500 words"]
    assert all(len(values) == 2 and min(values) > 0 for values in seconds.values())


def test_lines_and_one_text_take_turns(made):
    lines, model, vocabulary = made
    seconds = evaluation.measure_score(model, vocabulary, lines, batch_size=3, rounds=1)
    assert list(seconds) == ["evaluation as one text", "line by line"]
    assert all(len(values) == 1 for values in seconds.values())


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ([1.0, 1.2, 9.0], "1.20 of the time; at most 1.25 holds"),
        ([1.3, 1.3, 1.3], "1.30 of the time; at most 1.25 DOES NOT HOLD"),
    ],
)
def test_report_judges_by_medians(times, verdict):
    rows, sentence = evaluation.report({"a": [1.0, 1.0, 5.0], "b": times}, "text", 1.25)
    assert sentence.startswith("text: b takes") and verdict in sentence
    assert [row[:2] for row in rows] == [["text", "a"], ["text", "b"]]


def test_the_command(monkeypatch, capsys):
    sizes = ["--embedding_dim=4", "--hidden_dim=4", "--num_layers=1", "--rounds=1"]
    amounts = ["--lines=5", "--batch_size=2", "--cache_tokens=20"]
    monkeypatch.setattr(sys, "argv", ["evaluation", *sizes, *amounts])
    evaluation.main()
    printed = capsys.readouterr().out
    assert printed.count("of the time; at most") == 2 and "| 5 lines, batch 2, float32 |" in printed
