"""The perplexities of a run at each stage, read from its folder."""

import dataclasses
import pathlib

from awd_keras.evaluation import ContinuousCache
from trainers.errors import UserError
from trainers.training import RunFolder
from trainers.training.records import check_form, read_record, reading

# In the order of the paper.
KINDS = ("trained", "fine-tuned", "cache", "dynamic evaluation", "dynamic evaluation and cache")
TEXTS = ("validation", "test")
_EVALUATION = {
    **{"text": str, "batch_size": int, "stages": dict},
    **{"cache": (dict,), "dynamic_evaluation": (dict,)},
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage and its perplexities."""

    kind: str  # one of `KINDS`
    detail: str  # its settings in words, possibly empty
    perplexities: dict  # by text, if they were measured


def read_stages(folder):
    """Returns the measured `Stage`s of a run, and of fine-tuned runs in folders beside it."""
    stages = _read_own_stages(folder)
    digest = folder.read_config()[1].get("vocabulary_digest")
    for file in sorted(folder.path.resolve().parent.glob("*/config.json")):
        fine_tuned = RunFolder(file.parent)
        try:
            config, facts = fine_tuned.read_config()
        except UserError:
            continue  # an unrelated folder
        # By name, because both may have been moved together.
        origin = pathlib.Path(config.initial_run or ".").name
        if origin == folder.path.resolve().name and facts.get("vocabulary_digest") == digest:
            stages += _read_own_stages(fine_tuned)
    return sorted(stages, key=lambda stage: KINDS.index(stage.kind))


def read_cache_settings(folder):
    """Returns the settings of the cache that a run was evaluated with, or `None`."""
    return next((e["cache"] for e in _read_evaluations(folder) if e["cache"]), None)


def _read_own_stages(folder):
    is_fine_tuned = folder.read_config()[0].initial_run is not None
    own = ("fine-tuned" if is_fine_tuned else "trained", "")
    found = {own: {}}
    for text, figures in (folder.read_results() or {}).items():
        if text in TEXTS and figures is not None:
            found[own][text] = figures["perplexity"]
    for evaluation in _read_evaluations(folder):
        for name, figures in evaluation["stages"].items():
            detail = "fine-tuned weights, " * is_fine_tuned + _describe(name, evaluation)
            key = own if name == "model" else (name.replace("_", " "), detail)
            found.setdefault(key, {}).setdefault(evaluation["text"], figures["perplexity"])
    return [Stage(*key, perplexities) for key, perplexities in found.items() if perplexities]


def _read_evaluations(folder):
    evaluations = []
    for path in sorted(folder.path.glob("evaluation-*.json"), key=lambda path: path.stem):
        evaluation = read_record(path, _EVALUATION, "Move it elsewhere.")
        with reading(path, "Move it elsewhere."):
            if evaluation["cache"]:
                ContinuousCache(**evaluation["cache"])
            for name, figures in evaluation["stages"].items():
                check_form(figures, {"perplexity": int | float})
                _describe(name, evaluation)
        if evaluation["text"] in TEXTS:
            evaluations.append(evaluation)
    return evaluations


def _describe(name, evaluation):
    settings = {}
    if name.startswith("dynamic_evaluation"):
        settings |= evaluation["dynamic_evaluation"]
    if name.endswith("cache"):
        settings |= evaluation["cache"]
    settings["batch_size"] = evaluation["batch_size"]
    return ", ".join(
        f"{key.strip('_').replace('_', ' ')} {value:g}"
        for key, value in settings.items()
        if (key, value) != ("batch_size", 1)
    )
