"""Tests of what is read from run folders."""

import json

import pytest

from awd_keras.data.sotu import KNESER_NEY_TRIGRAM
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.reporting import (
    Stage,
    baseline,
    published_presets,
    read_cache_settings,
    read_stages,
)
from trainers.training import RunFolder

CACHE = {"window": 500, "theta": 1.0, "lambda_": 0.1, "only_full": False}
OTHER_CACHE = {"window": 100, "theta": 0.6, "lambda_": 0.25, "only_full": True}
DYNEVAL = {"learning_rate": 5e-5, "decay_rate": 0.002, "epsilon": 2e-5, "bptt": 5}
CACHE_TEXT = "window 500, theta 1, lambda 0.1"
DYNEVAL_TEXT = "learning rate 5e-05, decay rate 0.002, epsilon 2e-05, bptt 5"
PTB = {"num_tokens": {"train": 929_589, "validation": 73_760, "test": 82_430}}


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "run")


def make_folder(path, num_tokens=None, initial_run=None, digest="abc"):
    path.mkdir()
    facts = {"name": "text", "vocabulary_digest": digest}
    facts |= {"num_tokens": num_tokens} if num_tokens else {}
    settings = TrainingConfig(corpus="text", initial_run=initial_run)
    config = {"settings": settings.to_dict(), "corpus": facts}
    (path / "config.json").write_text(json.dumps(config))
    return RunFolder(path)


def write_results(folder, validation, test):
    texts = {"validation": {"perplexity": validation}, "test": {"perplexity": test}}
    folder.write_results({"reason": "finished", "epochs": 3, "triggered_at_step": 4, **texts})


def write_evaluation(folder, name, stages, text="test", cache=None, dyneval=None, search=None):
    figures = {stage: {"perplexity": perplexity} for stage, perplexity in stages.items()}
    evaluation = {
        "text": text,
        "batch_size": 1,
        "dtype": "float32",
        "cache": cache,
        "dynamic_evaluation": dyneval,
        "stages": figures,
    }
    if search:
        trials = [
            {"cache": cache, "dynamic_evaluation": dyneval, **figures}
            for cache, dyneval, figures in search
        ]
        evaluation["search"] = {"num_tokens": 99, "trials": trials}
    path = folder.path / f"evaluation-{name}.json"
    path.write_text(json.dumps(evaluation))
    return path


def test_a_run_without_results(folder):
    assert read_stages(folder) == []
    assert read_cache_settings(folder) is None


def test_results_of_a_run_and_of_those_fine_tuned_from_it(folder, tmp_path):
    write_results(folder, 90.0, 88.0)
    make_folder(tmp_path / "another")
    make_folder(tmp_path / "of_another", initial_run="another")
    write_results(make_folder(tmp_path / "other words", None, "run", "xyz"), 1.0, 1.0)
    (tmp_path / "no run").mkdir()
    (tmp_path / "no run" / "config.json").write_text("{")
    trained = Stage("trained", "trained", "", {"validation": 90.0, "test": 88.0})
    assert read_stages(folder) == [trained]

    first = make_folder(tmp_path / "first", initial_run="/moved/since/run")
    write_results(first, 85.0, 83.0)
    found = Stage("fine-tuned", "fine-tuned", "", {"validation": 85.0, "test": 83.0})
    assert read_stages(folder) == [trained, found]
    assert read_stages(first) == [found]

    write_results(make_folder(tmp_path / "second", initial_run="run"), 84.0, 82.0)
    expected = [(s.kind, s.settings, s.perplexities["test"]) for s in read_stages(folder)]
    assert expected == [
        ("trained", "", 88.0),
        ("fine-tuned", "first", 83.0),
        ("fine-tuned", "second", 82.0),
    ]


def test_evaluations_of_both_texts_meet_in_one_stage(folder):
    settings = {"cache": CACHE, "dyneval": DYNEVAL}
    names = ("model", "cache", "dynamic_evaluation", "dynamic_evaluation_and_cache")
    write_evaluation(folder, "test", dict(zip(names, (80.0, 75.0, 73.0, 70.0))), **settings)
    stages = dict(zip(names, (82.0, 77.0, 75.0, 72.0)))
    write_evaluation(folder, "validation", stages, "validation", **settings)
    assert read_stages(folder) == [
        Stage("trained", "trained", "", {"validation": 82.0, "test": 80.0}),
        Stage("cache", "trained", CACHE_TEXT, {"validation": 77.0, "test": 75.0}),
        Stage("dynamic evaluation", "trained", DYNEVAL_TEXT, {"validation": 75.0, "test": 73.0}),
        Stage(
            "dynamic evaluation and cache",
            "trained",
            f"{DYNEVAL_TEXT}; {CACHE_TEXT}",
            {"validation": 72.0, "test": 70.0},
        ),
    ]
    assert read_cache_settings(folder) == CACHE


def test_results_of_the_run_count_before_those_of_an_evaluation(folder):
    write_results(folder, 90.0, 88.0)
    write_evaluation(folder, "test", {"model": 87.0})
    assert [stage.perplexities for stage in read_stages(folder)] == [
        {"validation": 90.0, "test": 88.0}
    ]


def test_the_model_alone_counts_before_the_model_in_other_evaluations(folder):
    write_evaluation(folder, "test-cache", {"model": 87.1, "cache": 80.0}, cache=CACHE)
    write_evaluation(folder, "test", {"model": 87.0})
    found = [(stage.kind, stage.perplexities) for stage in read_stages(folder)]
    assert found == [("trained", {"test": 87.0}), ("cache", {"test": 80.0})]


def test_other_settings_and_other_weights_are_other_stages(folder, tmp_path):
    fine_tuned = make_folder(tmp_path / "other", initial_run="run")
    write_evaluation(fine_tuned, "test", {"model": 79.0, "cache": 71.0}, cache=CACHE)
    write_evaluation(folder, "a", {"cache": 75.0}, cache=CACHE)
    path = write_evaluation(folder, "b", {"cache": 74.0}, cache=OTHER_CACHE)
    evaluation = json.loads(path.read_text()) | {"batch_size": 10}
    path.write_text(json.dumps(evaluation))
    stages = read_stages(folder)
    assert [(s.kind, s.weights, s.settings, s.perplexities) for s in stages] == [
        ("fine-tuned", "fine-tuned", "", {"test": 79.0}),
        ("cache", "trained", CACHE_TEXT, {"test": 75.0}),
        (
            "cache",
            "trained",
            "window 100, theta 0.6, lambda 0.25, only when full; batch size 10",
            {"test": 74.0},
        ),
        ("cache", "fine-tuned", CACHE_TEXT, {"test": 71.0}),
    ]


def test_other_texts_are_not_read(folder):
    write_evaluation(folder, "train", {"model": 60.0}, "train")
    write_evaluation(folder, "file-a", {"model": 60.0}, "/somewhere/a.txt", CACHE)
    assert read_stages(folder) == []
    assert read_cache_settings(folder) is None


@pytest.mark.parametrize("num_tokens,validation", [(500, 76.0), (499, None)])
def test_a_search_of_the_whole_validation_text_counts_for_it(tmp_path, num_tokens, validation):
    folder = make_folder(tmp_path / "run", {"train": 900, "validation": num_tokens, "test": 5})
    figures = {"num_tokens": 499}
    search = [
        (CACHE, None, figures | {"perplexity": 76.0}),
        (OTHER_CACHE, None, figures | {"perplexity": 77.0}),
        (None, None, figures | {"perplexity": 80.0}),
    ]
    write_evaluation(folder, "test", {"cache": 75.0}, cache=CACHE, search=search)
    expected = {"test": 75.0} | ({} if validation is None else {"validation": validation})
    assert read_stages(folder) == [Stage("cache", "trained", CACHE_TEXT, expected)]


def test_what_was_measured_counts_before_the_search(tmp_path):
    folder = make_folder(tmp_path / "run", {"train": 900, "validation": 500, "test": 5})
    search = [(None, DYNEVAL, {"num_tokens": 499, "perplexity": 76.0})]
    write_evaluation(folder, "test", {"dynamic_evaluation": 75.0}, dyneval=DYNEVAL, search=search)
    write_evaluation(folder, "val", {"dynamic_evaluation": 76.5}, "validation", dyneval=DYNEVAL)
    expected = {"test": 75.0, "validation": 76.5}
    assert read_stages(folder) == [Stage("dynamic evaluation", "trained", DYNEVAL_TEXT, expected)]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"text": "test"}',
        '{"text": "test", "stages": []}',
        '{"text": "test", "stages": {"model": {}}, "batch_size": 1}',
        '{"text": "test", "stages": {}, "cache": {}, "dynamic_evaluation": null}',
        '{"text": "test", "stages": {}, "cache": {"window": 1}, "dynamic_evaluation": null, '
        '"batch_size": 1}',
    ],
)
def test_a_damaged_evaluation_is_named(folder, content):
    (folder.path / "evaluation-test.json").write_text(content)
    for read in (read_stages, read_cache_settings):
        with pytest.raises(UserError, match="evaluation-test.json cannot be read as"):
            read(folder)


@pytest.mark.parametrize("content", ["[]", "{}", "7", '{"validation": {"perplexity": 1}}'])
def test_damaged_results_are_named(folder, content):
    folder.results_file.write_text(content)
    with pytest.raises(UserError, match="results.json"):
        read_stages(folder)


def test_published_numbers_are_for_the_published_text_alone():
    ptb = TrainingConfig(hidden_dim=10)
    assert [name for name, _ in published_presets(ptb, PTB, 10_000)] == ["ptb", "ptb_authors"]
    assert published_presets(ptb, PTB, 9_999) == []
    changed = {"num_tokens": PTB["num_tokens"] | {"test": 82_431}}
    assert published_presets(ptb, changed, 10_000) == []
    assert published_presets(ptb, {}, 10_000) == []
    assert published_presets(ptb.replace(corpus="wikitext2"), PTB, 10_000) == []
    wikitext2 = {"train": 2_088_628, "validation": 217_646, "test": 245_569}
    found = published_presets(ptb.replace(corpus="wikitext2"), {"num_tokens": wikitext2}, 33_278)
    assert [name for name, _ in found] == ["wikitext2", "wikitext2_authors"]


def test_the_baseline_is_for_its_text_alone():
    assert baseline({"name": "sotu-1900"}, 10_000) == ("Kneser-Ney trigram", KNESER_NEY_TRIGRAM)
    assert baseline({"name": "sotu-1900"}, 5_000) is None
    assert baseline({"name": "ptb"}, 10_000) is None
