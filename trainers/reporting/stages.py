"""What was measured of a run at each stage, read from its folder, and what was published."""

import dataclasses
import json
import pathlib

from awd_keras.data import sotu
from awd_keras.data.load import is_published
from trainers.errors import UserError
from trainers.presets import PRESETS
from trainers.training.run_folder import RunFolder

# In the order in which the paper has them.
KINDS = ("trained", "fine-tuned", "cache", "dynamic evaluation", "dynamic evaluation and cache")
TEXTS = ("validation", "test")
# The stages of an evaluation's JSON.
_EVALUATED = {
    "cache": "cache",
    "dynamic_evaluation": "dynamic evaluation",
    "dynamic_evaluation_and_cache": "dynamic evaluation and cache",
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage and its perplexities.

    Args:
        kind: one of `KINDS`.
        weights: "trained" or "fine-tuned": the weights that were measured.
        settings: words on how; empty where there is nothing to say.
        perplexities: a dictionary of "validation" and "test", as far as they were measured.
    """

    kind: str
    weights: str
    settings: str
    perplexities: dict


def read_stages(folder):
    """Reads results.json, and each `evaluation-*.json` of `trainers.evaluate`.

    Those of the runs that were fine-tuned from the run are read too, if they lie beside it. Results
    with other settings are stages of their own. Where an evaluation searched its settings on the
    whole validation text, that text's perplexity is the search's.

    Args:
        folder: `RunFolder` of a run.

    Returns:
        a list of `Stage` in the order of `KINDS`; a kind that was not measured is not in it.

    Raises:
        UserError: naming a file that cannot be read.
    """
    stages = _stages_of(folder, "")
    fine_tuned = _fine_tuned_from(folder)
    for run in fine_tuned:
        stages += _stages_of(run, run.path.name if len(fine_tuned) > 1 else "")
    return sorted(stages, key=lambda stage: KINDS.index(stage.kind))


def _fine_tuned_from(folder):
    """The runs beside a run that started from its weights."""
    path = folder.path.resolve()
    digest = folder.read_config()[1].get("vocabulary_digest")
    found = []
    for file in sorted(path.parent.glob("*/config.json")):
        run = RunFolder(file.parent)
        try:
            config, facts = run.read_config()
        except UserError:
            continue  # something else, which nobody asked for
        # By name: both may have been moved together.
        origin = config.initial_run and pathlib.Path(config.initial_run).name
        if origin == path.name and facts.get("vocabulary_digest") == digest:
            found.append(run)
    return found


def read_cache_settings(folder):
    """The settings of the cache with which a run was evaluated.

    Args:
        folder: `RunFolder`.

    Returns:
        arguments of `ContinuousCache`, or None if there was no such evaluation. Of several, those
        of the first by name.

    Raises:
        UserError: naming a file that cannot be read.
    """
    return next((e["cache"] for e in _read_evaluations(folder) if e["cache"]), None)


def published_presets(config, facts, vocabulary_size):
    """The presets whose published perplexities are of the same text as a run's.

    Args:
        config: `TrainingConfig` of the run.
        facts: what config.json says of its corpus.
        vocabulary_size: number of words of the run.

    Returns:
        a list of (name, `Preset`).
    """
    if not is_published(config.corpus, facts.get("num_tokens"), vocabulary_size):
        return []
    return [
        (name, preset)
        for name, preset in PRESETS.items()
        if preset.config.corpus == config.corpus and preset.expected
    ]


def baseline(facts, vocabulary_size):
    """A simpler model that was measured on a run's text.

    Args:
        facts: what config.json says of the run's corpus.
        vocabulary_size: number of words of the run.

    Returns:
        None, or (its name, its perplexities as in a `Stage`).

    Example:

    >>> baseline({"name": "sotu-1900"}, 10_000)
    ('Kneser-Ney trigram', {'validation': 153.7, 'test': 152.7})
    """
    if (facts.get("name"), vocabulary_size) != (sotu.NAME, sotu.VOCABULARY_SIZE):
        return None
    return "Kneser-Ney trigram", sotu.KNESER_NEY_TRIGRAM


def _stages_of(folder, name_of_run):
    weights = "fine-tuned" if folder.read_config()[0].initial_run else "trained"
    evaluations = _read_evaluations(folder)
    own = _read_results(folder)
    measured = {}
    for evaluation in evaluations:
        for name, figures in evaluation["stages"].items():
            if name == "model":
                own.setdefault(evaluation["text"], figures["perplexity"])
            elif name in _EVALUATED:
                key = _EVALUATED[name], _describe(name, evaluation)
                measured.setdefault(key, {})[evaluation["text"]] = figures["perplexity"]
    for name, settings, perplexity in _searched(folder, evaluations):
        if (_EVALUATED[name], settings) in measured:
            measured[_EVALUATED[name], settings].setdefault("validation", perplexity)
    found = {(weights, ""): own} if own else {}
    return [
        Stage(kind, weights, "; ".join(filter(None, [name_of_run, settings])), perplexities)
        for (kind, settings), perplexities in (found | measured).items()
    ]


def _read_results(folder):
    results = folder.read_results()
    return {text: results[text]["perplexity"] for text in TEXTS} if results else {}


def _read_evaluations(folder):
    evaluations = []
    # That of the model alone before those that have more in their names.
    for path in sorted(folder.path.glob("evaluation-*.json"), key=lambda path: path.stem):
        try:
            evaluation = json.loads(path.read_text(encoding="utf-8"))
            if evaluation["text"] not in TEXTS:
                continue
            for figures in evaluation["stages"].values():
                figures["perplexity"]
            for trial in evaluation.get("search", {}).get("trials", ()):
                _describe(_name_of(trial), {**evaluation, **trial})
            _describe("dynamic_evaluation_and_cache", evaluation)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} cannot be read as the result of an evaluation: {error!r}. Move it away, "
                "or evaluate again."
            ) from None
        evaluations.append(evaluation)
    return evaluations


def _searched(folder, evaluations):
    """Yields (stage, settings, perplexity) of searches that read the whole validation text."""
    num_tokens = folder.read_config()[1].get("num_tokens", {}).get("validation", 0)
    for evaluation in evaluations:
        batch_size = evaluation["batch_size"]
        whole = batch_size * (num_tokens // batch_size - 1)
        for trial in evaluation.get("search", {}).get("trials", ()):
            name = _name_of(trial)
            if name in _EVALUATED and trial["num_tokens"] == whole:
                yield name, _describe(name, {**evaluation, **trial}), trial["perplexity"]


def _name_of(trial):
    kinds = [kind for kind in ("dynamic_evaluation", "cache") if trial[kind]]
    return "_and_".join(kinds) or "model"


def _describe(name, evaluation):
    """The settings that count for a stage, in words."""
    parts = []
    cache, dynamic_evaluation = evaluation["cache"], evaluation["dynamic_evaluation"]
    if dynamic_evaluation and name.startswith("dynamic_evaluation"):
        parts.append(
            ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in dynamic_evaluation.items())
        )
    if cache and name.endswith("cache"):
        text = f"window {cache['window']}, theta {cache['theta']:g}, lambda {cache['lambda_']:g}"
        parts.append(text + (", only when full" if cache.get("only_full") else ""))
    if evaluation["batch_size"] != 1:
        parts.append(f"batch size {evaluation['batch_size']}")
    return "; ".join(parts)
