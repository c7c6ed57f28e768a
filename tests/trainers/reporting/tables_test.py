"""Tests of the tables of the page, read as a browser does."""

import pytest

from tests.trainers.reporting.parsed_page import ParsedPage
from tests.trainers.reporting.reports import NOTHING, cells, make_report, make_words
from trainers.config import TrainingConfig
from trainers.presets import PRESETS
from trainers.reporting import Stage, WordRow, render_page

KINDS = ["trained", "fine-tuned", "cache", "dynamic evaluation", "dynamic evaluation and cache"]


def test_runs():
    untrained = make_report(
        "copy", results=None, metrics=[], config=TrainingConfig(tie_weights=False, dtype="float32")
    )
    interrupted = make_report("half", results=None)
    parsed = ParsedPage(render_page([make_report(), untrained, interrupted]))
    assert cells(parsed.table("run", "parameters")) == [
        ["run3 LSTMs, 400/1150, auto", "24,221,600", "2", "1:01:15", "step 1,500"],
        ["copy3 LSTMs, 400/1150, not tied, float32", "24,221,600", NOTHING, NOTHING, NOTHING],
        ["half3 LSTMs, 400/1150, auto", "24,221,600", "1.5 so far", "1:01:15", NOTHING],
    ]


def test_stages_beside_published_numbers():
    stages = [
        Stage("trained", "trained", "", {"validation": 90.456, "test": 88.0}),
        Stage("cache", "trained", "window 5", {"test": 80.0}),
        Stage("cache", "fine-tuned", "window 9", {"validation": 1234.5, "test": None}),
    ]
    published = [(name, PRESETS[name]) for name in ("ptb", "ptb_authors")]
    parsed = ParsedPage(render_page([make_report(stages=stages, published=published)]))
    rows = parsed.table(
        "stage", "validation", "test", PRESETS["ptb"].source, PRESETS["ptb_authors"].source
    )
    none = [NOTHING] * 2
    assert cells(rows) == [
        ["trained", "90.46", "88.00", "60.7 / 58.8", "61.2 / 58.8"],
        ["fine-tuned", *none, "60.0 / 57.3", "58.8 / 56.5"],
        ["cachewindow 5", NOTHING, "80.00", *none],
        ["cachefine-tuned weights; window 9", "1,234.50", NOTHING, "53.9 / 52.8", "53.2 / 52.5"],
        ["dynamic evaluation", *none, *none],
        ["dynamic evaluation and cache", *none, *none],
    ]
    assert [class_ for class_, _ in rows] == [None, "dim", None, None, "dim", "dim"]
    assert "From the preset ptb to this run: the same settings." in parsed.text
    assert "ptb_authors to this run: hidden_dropout 0.25 \N{RIGHTWARDS ARROW} 0.3," in parsed.text
    assert "epochs 500 \N{RIGHTWARDS ARROW} 750, batch_size 20" in parsed.text


def test_stages_of_several_runs():
    other = make_report("b", baseline=("trigram", {"validation": 153.7, "test": 1152.7}))
    published = make_report("c", published=[("ptb", PRESETS["ptb"])])
    parsed = ParsedPage(render_page([make_report("a"), other, published]))
    rows = cells(parsed.table("stage", "validation", "test", PRESETS["ptb"].source))
    assert [row[0] for row in rows] == ["a", *KINDS, "b", "trigram", *KINDS, "c", *KINDS]
    assert rows[7] == ["trigram", "153.7", "1,152.7", NOTHING]
    assert rows[1][3] == rows[8][3] == NOTHING  # another text, perhaps
    assert rows[14] == ["trained", "90.46", "88.00", "60.7 / 58.8"]


def test_settings_of_one_run():
    config = TrainingConfig(learning_rate_drop_epochs=(3, 5), data_dir="/a/b")
    parsed = ParsedPage(render_page([make_report(config=config)]))
    tables = [t for t in parsed.tables if t[0][1] == ["setting", "value"]]
    rows = dict(row for table in tables for row in cells(table[1:]))
    assert list(rows) == list(config.to_dict())
    expected = {
        "data_dir": "/a/b",
        "bptt_max": NOTHING,
        "weight_decay": "1.2e-06",
        "seed": "141",
        "tie_weights": "yes",
        "learning_rate_drop_epochs": "3, 5",
        "learning_rate": "30",
        "trigger": "non_monotonic",
    }
    assert {name: rows[name] for name in expected} == expected
    assert not [class_ for table in tables for class_, _ in table if class_]


def test_settings_in_which_runs_differ_are_marked():
    configs = [TrainingConfig(), TrainingConfig(seed=7), TrainingConfig(bptt=35, seed=7)]
    reports = [make_report(f"run{index}", config=config) for index, config in enumerate(configs)]
    rows = ParsedPage(render_page(reports)).table("setting", "run0", "run1", "run2")
    marked = [row for class_, row in rows if class_ == "differs"]
    assert marked == [["bptt", "70", "70", "35"], ["seed", "141", "7", "7"]]
    sections = [row[0] for _, row in rows if len(row) == 1]
    assert sections == ["Data", "Model", "Regularization", "Optimization", "Run", "Logging"]
    assert len(rows) == len(sections) + len(TrainingConfig().to_dict())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_can_be_shown(value):
    stage = Stage("trained", "trained", "", {"validation": value, "test": value})
    words = make_words(perplexity=value, lost=[WordRow("a", 1, value, 0.0)])
    parsed = ParsedPage(render_page([make_report(stages=[stage], words=words)]))
    assert cells(parsed.table("stage"))[0] == ["trained", str(value), str(value)]
