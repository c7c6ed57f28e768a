"""Tests of what the report reads from run folders."""

import json

import pytest

from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.reporting.stages import read_cache_settings, read_stages
from trainers.training import RunFolder

CACHE = {"window": 500, "theta": 1.0, "lambda_": 0.1}
DYNEVAL = {"learning_rate": 5e-5, "decay_rate": 0.002, "epsilon": 2e-5, "bptt": 5}
CACHE_TEXT = "window 500, theta 1, lambda 0.1"
DYNEVAL_TEXT = "learning rate 5e-05, decay rate 0.002, epsilon 2e-05, bptt 5"


def make_folder(path, initial_run=None, digest="abc"):
    path.mkdir()
    config = TrainingConfig(corpus="text", initial_run=initial_run)
    facts = {"name": "text", "vocabulary_digest": digest}
    record = {"settings": config.to_dict(), "corpus": facts}
    (path / "config.json").write_text(json.dumps(record))
    return RunFolder(path)


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "run")


def write_results(folder, validation, test):
    test = None if test is None else {"perplexity": test}
    folder.write_results({"epochs": 1, "validation": {"perplexity": validation}, "test": test})


def write_evaluation(folder, name, stages, text="test", batch_size=1, cache=None, dyneval=None):
    evaluation = {
        "text": text,
        "batch_size": batch_size,
        "cache": cache,
        "dynamic_evaluation": dyneval,
        "stages": {stage: {"perplexity": value} for stage, value in stages.items()},
    }
    (folder.path / f"evaluation-{name}.json").write_text(json.dumps(evaluation))


def read(folder):
    return [(stage.kind, stage.detail, stage.perplexities) for stage in read_stages(folder)]


def test_a_run_without_results(folder):
    assert read(folder) == [] and read_cache_settings(folder) is None


def test_a_run_and_the_runs_fine_tuned_from_it(folder, tmp_path):
    write_results(folder, 90.0, None)
    write_results(make_folder(tmp_path / "of_another", "another"), 1.0, 1.0)
    write_results(make_folder(tmp_path / "other_words", "run", "xyz"), 1.0, 1.0)
    (tmp_path / "unrelated").mkdir()
    (tmp_path / "unrelated" / "config.json").write_text("{")
    trained = ("trained", "", {"validation": 90.0})
    assert read(folder) == [trained]
    fine_tuned = make_folder(tmp_path / "tuned", "/moved/since/run")
    write_results(fine_tuned, 85.0, 83.0)
    found = ("fine-tuned", "", {"validation": 85.0, "test": 83.0})
    assert read(folder) == [trained, found]
    assert read(fine_tuned) == [found]


def test_evaluations_of_both_texts_share_a_stage(folder):
    settings = {"cache": CACHE, "dyneval": DYNEVAL}
    names = ("model", "cache", "dynamic_evaluation", "dynamic_evaluation_and_cache")
    write_evaluation(folder, "test", dict(zip(names, (80.0, 75.0, 73.0, 70.0))), **settings)
    stages = dict(zip(names, (82.0, 77.0, 75.0, 72.0)))
    write_evaluation(folder, "validation", stages, "validation", **settings)
    write_evaluation(folder, "file", {"model": 60.0}, "file: a.txt")
    both = f"{DYNEVAL_TEXT}, {CACHE_TEXT}"
    assert read(folder) == [
        ("trained", "", {"validation": 82.0, "test": 80.0}),
        ("cache", CACHE_TEXT, {"validation": 77.0, "test": 75.0}),
        ("dynamic evaluation", DYNEVAL_TEXT, {"validation": 75.0, "test": 73.0}),
        ("dynamic evaluation and cache", both, {"validation": 72.0, "test": 70.0}),
    ]
    assert read_cache_settings(folder) == CACHE


def test_other_settings_and_other_weights_are_other_stages(folder, tmp_path):
    write_results(folder, 90.0, 88.0)
    write_evaluation(folder, "test", {"model": 87.0})  # in another batch size than the run's
    write_evaluation(folder, "a", {"cache": 75.0}, cache=CACHE)
    other = {"window": 100, "theta": 0.6, "lambda_": 0.25}
    write_evaluation(folder, "b", {"cache": 74.0}, batch_size=10, cache=other)
    write_evaluation(make_folder(tmp_path / "tuned", "run"), "a", {"cache": 71.0}, cache=CACHE)
    assert read(folder) == [
        ("trained", "", {"validation": 90.0, "test": 88.0}),
        ("cache", CACHE_TEXT, {"test": 75.0}),
        ("cache", "window 100, theta 0.6, lambda 0.25, batch size 10", {"test": 74.0}),
        ("cache", f"fine-tuned weights, {CACHE_TEXT}", {"test": 71.0}),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": []},
        {"stages": {"model": {"perplexity": "low"}}},
        {"stages": {"cache": {"perplexity": 3.0}}},
        {"cache": {"window": "5", "theta": 1, "lambda_": 0}},
        {"cache": {"window": 5, "theta": -1, "lambda_": 0}},
    ],
)
def test_a_damaged_evaluation(folder, changes):
    write_evaluation(folder, "test", {"model": 1.0})
    path = folder.path / "evaluation-test.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UserError, match="evaluation-test.json cannot be read"):
        read_stages(folder)
