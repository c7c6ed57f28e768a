"""Evaluates a trained run on a text."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import os
import pathlib

import numpy as np
from absl import flags

from awd_keras.atomic_write import atomic_write
from awd_keras.data import batchify
from awd_keras.evaluation import (
    ContinuousCache,
    DynamicEvaluation,
    EvaluationResult,
    Scorer,
    perplexity,
    search,
)
from trainers import run_text
from trainers.errors import NonFiniteLossError, UserError
from trainers.presets import authors_cache
from trainers.table import format_table
from trainers.training import RunFolder, factory
from trainers.training.progress import Progress

FLAGS = flags.FLAGS
_CACHE_GRID = {
    "window": [100, 500, 2000],
    "theta": [0.1, 0.3, 0.6, 1.0, 1.5, 2.5],
    "lambda": [0.03, 0.05, 0.1, 0.15, 0.2, 0.3],
}
_DYNEVAL = {"learning_rate": 5e-5, "decay_rate": 2e-3}
_DYNEVAL_GRID = {"learning_rate": [2e-5, 5e-5, 1e-4, 2e-4], "decay_rate": [1e-3, 3e-3]}
_SHOWN_TRIALS = 10


def main():
    _check_flags()
    model, vocabulary, config = factory.load_run(FLAGS.workdir, FLAGS.dtype)
    batch_size = _batch_size(config)
    caches, dynamic_evaluations = _caches(config), _dynamic_evaluations(model)
    corpus, name = None, FLAGS.split
    if FLAGS.search or FLAGS.dyneval or not FLAGS.data_file:
        corpus = run_text.load_run_corpus(RunFolder(FLAGS.workdir), FLAGS.data_dir)
    if FLAGS.data_file:
        name = pathlib.Path(FLAGS.data_file).name
        token_ids, num_unknown = run_text.read_text(FLAGS.data_file, vocabulary)
    else:
        token_ids, num_unknown = getattr(corpus, name), corpus.unknown_counts[name]
    validation = corpus.validation[: FLAGS.search_tokens] if FLAGS.search else token_ids
    with _explain("--batch_size"):
        for ids in (token_ids, validation):
            batchify(ids, batch_size)
    output, progress, trials = FLAGS.output or _default_output(), Progress(), []
    with contextlib.ExitStack() as stack:
        # Open the files first, so that a wrong path is reported before any work.
        file = stack.enter_context(atomic_write(output))
        table = FLAGS.per_token and stack.enter_context(
            atomic_write(FLAGS.per_token, encoding="utf-8")
        )
        if FLAGS.dyneval:
            progress.line("collecting gradient statistics on the training text ...")
            with _explain("--dyneval"):
                dynamic_evaluations[-1].collect_statistics(
                    corpus.train,
                    FLAGS.dyneval_statistics_batch_size,
                    FLAGS.dyneval_statistics_windows,
                    lambda done, total: progress.live(lambda: f"{done:,} of {total:,} windows"),
                )
        if FLAGS.search:
            trials = _search(model, validation, caches, dynamic_evaluations, batch_size, progress)
        cache, dynamic_evaluation = trials[0][:2] if trials else (caches[0], dynamic_evaluations[0])
        stages = {}
        for learning in [None, dynamic_evaluation] if dynamic_evaluation else [None]:
            words = table if learning is dynamic_evaluation else None
            scorer = Scorer(model, cache, learning, ranks=words is not None)
            targets, mixed, alone = _score(
                scorer, token_ids, batch_size, vocabulary, words, progress
            )
            method = "dynamic_evaluation" if learning else "model"
            stages[method] = _figures(vocabulary, targets, alone)
            if cache:
                method = "dynamic_evaluation_and_cache" if learning else "cache"
                stages[method] = _figures(vocabulary, targets, mixed)
        progress.close()
        results = {
            "corpus": config.corpus,
            "text": f"file: {FLAGS.data_file}" if FLAGS.data_file else FLAGS.split,
            "batch_size": batch_size,
            "dtype": config.dtype,
            "num_text_tokens": len(token_ids),
            "num_out_of_vocabulary": num_unknown,
            **_settings(cache, dynamic_evaluation),
            **stages[method],
            "stages": stages,
        }
        if trials:
            results["search"] = [
                {**_settings(*settings), **result.to_dict()} for *settings, result in trials
            ]
        file.write(json.dumps(results, indent=2) + "\n")
    _print_results(results, name)
    if "bits_per_character" in results:
        print(f"bits per character: {results['bits_per_character']:.4f}")
    print(f"results: {output}")
    print(f"{name} perplexity: {results['perplexity']:.2f}")


def _check_flags():
    if not FLAGS.workdir:
        raise UserError("--workdir is required: the folder of a trained run.")
    for switch in ("cache", "dyneval", "search"):
        for name in FLAGS:
            if name.startswith(f"{switch}_") and FLAGS[name].present and not FLAGS[switch].value:
                raise UserError(f"--{name} has no effect without --{switch}.")
    if FLAGS.search and not (FLAGS.cache or FLAGS.dyneval):
        raise UserError("--search needs --cache, --dyneval or both.")
    if FLAGS.data_file and FLAGS["split"].present:
        raise UserError("--split and --data_file both select a text. Remove one of them.")
    if FLAGS.per_token and FLAGS.batch_size not in (None, 1):
        raise UserError("--per_token needs --batch_size=1, to follow the order of the text.")


def _batch_size(config):
    if FLAGS.batch_size is not None:
        return FLAGS.batch_size
    if FLAGS.data_file or FLAGS.per_token or FLAGS.cache or FLAGS.dyneval:
        return 1
    return config.test_batch_size if FLAGS.split == "test" else config.validation_batch_size


def _caches(config):
    """Returns the cache to use or, for a search, `None` and the caches to try."""
    if not FLAGS.cache:
        return [None]
    defaults = _CACHE_GRID if FLAGS.search else authors_cache(config.corpus)
    with _explain("--cache"):
        return [None] * FLAGS.search + [
            ContinuousCache(_window(window), theta, lambda_)
            for window, theta, lambda_ in _combinations("cache", defaults)
        ]


def _window(value):
    if not (value.is_integer() and value < 2**31):
        raise ValueError(f"`window` must be an integer below 2**31. Received: {value:g}")
    return int(value)


def _dynamic_evaluations(model):
    """Returns the dynamic evaluation to use or, for a search, `None` and the ones to try."""
    if not FLAGS.dyneval:
        return [None]
    defaults = _DYNEVAL_GRID if FLAGS.search else _DYNEVAL
    with _explain("--dyneval"):
        # Copies share their graphs and statistics.
        any_settings = DynamicEvaluation(
            model, epsilon=FLAGS.dyneval_epsilon, bptt=FLAGS.dyneval_bptt
        )
        return [None] * FLAGS.search + [
            any_settings.replace(learning_rate=learning_rate, decay_rate=decay_rate)
            for learning_rate, decay_rate in _combinations("dyneval", defaults)
        ]


def _combinations(prefix, defaults):
    choices = []
    for name, default in defaults.items():
        flag = FLAGS[f"{prefix}_{name}"]
        values = flag.value if flag.present else np.ravel(default)
        values = [float(value) for value in values]
        if not values:
            raise UserError(f"--{flag.name} must not be empty.")
        if len(values) > 1 and not FLAGS.search:
            raise UserError(f"--{flag.name} takes a list only with --search.")
        choices.append(values)
    return itertools.product(*choices)


@contextlib.contextmanager
def _explain(flag):
    """Raises a `ValueError` of the library as a `UserError` that names a flag."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{flag}: {error}") from error


def _default_output():
    text = FLAGS.split
    if FLAGS.data_file:
        path = pathlib.Path(FLAGS.data_file)
        # The digest distinguishes files of the same name in different folders.
        digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
        text = f"file-{path.name}-{digest[:6]}"
    methods = [name for name in ("cache", "dyneval", "search") if FLAGS[name].value]
    return pathlib.Path(FLAGS.workdir, "-".join(["evaluation", text, *methods]) + ".json")


def _search(model, token_ids, caches, dynamic_evaluations, batch_size, progress):
    """Returns the trials that did not diverge, best first."""
    num_trials = len(caches) * len(dynamic_evaluations)
    progress.line(f"searching {num_trials:,} settings on {len(token_ids):,} validation tokens ...")

    def show(done, total):
        progress.live(lambda: f"searching: {done / total:.0%}")

    trials = search(model, token_ids, caches, dynamic_evaluations, batch_size, show)
    trials = [trial for trial in trials if math.isfinite(trial[2].loss)]
    if not trials:
        raise NonFiniteLossError("The loss on the validation text is not finite for any setting.")
    return trials


def _score(scorer, token_ids, batch_size, vocabulary, words, progress):
    """Returns the targets and their log-probabilities with and without the cache."""
    windows, num_done = [], 0
    if words:
        words.write("word\tlog_probability\trank\n")
    for window in scorer.score(token_ids, batch_size):
        if not np.all(np.isfinite(window.log_probabilities)):
            raise NonFiniteLossError(
                "The loss is not finite. With --dyneval, try a smaller --dyneval_learning_rate."
            )
        if words:
            columns = (window.targets[0], window.log_probabilities[0], window.ranks[0])
            for target, log_probability, rank in zip(*columns, strict=True):
                word = vocabulary.words[target].replace("\t", " ")
                words.write(f"{word}\t{log_probability:.6f}\t{rank}\n")
        windows.append(window[:3])
        num_done += window.targets.size
        live = f"evaluating: {num_done:,} of {len(token_ids):,} tokens"
        progress.live(lambda: live)  # noqa: B023
    return [np.concatenate(arrays, axis=1) for arrays in zip(*windows, strict=True)]


def _figures(vocabulary, targets, log_probabilities):
    losses = -log_probabilities.astype(np.float64)
    known = targets != vocabulary.unk_id
    figures = {
        **EvaluationResult(float(losses.sum()), losses.size).to_dict(),
        "num_unk": int(np.sum(~known)),
        "perplexity_without_unk": perplexity(losses[known].mean()) if known.any() else None,
    }
    if vocabulary.has_only_characters:
        figures["bits_per_character"] = figures["loss"] / math.log(2)
    return figures


def _settings(cache, dynamic_evaluation):
    return {
        "cache": dataclasses.asdict(cache) if cache else None,
        "dynamic_evaluation": dynamic_evaluation.settings if dynamic_evaluation else None,
    }


def _print_results(results, name):
    if "search" in results:
        trials = results["search"]
        rows = [[_describe(t), f"{t['perplexity']:.2f}"] for t in trials[:_SHOWN_TRIALS]]
        print(f"best of {len(trials):,} settings:")
        print(format_table([["", "validation perplexity"], *rows]))
    print(
        f"{name}: {results['num_tokens']:,} tokens predicted, batch size {results['batch_size']}; "
        f"{results['num_out_of_vocabulary']:,} of {results['num_text_tokens']:,} not in the "
        f"vocabulary; {results['num_unk']:,} of the predicted tokens are <unk>"
    )
    print(f"settings: {_describe(results)}")
    columns = ("loss", "perplexity", "perplexity_without_unk", "bits_per_character")
    columns = [column for column in columns if results.get(column) is not None]
    rows = [["", *(column.replace("_", " ") for column in columns)]]
    for stage, figures in results["stages"].items():
        rows.append([stage.replace("_", " "), *(f"{figures[column]:.4f}" for column in columns)])
    print(format_table(rows))


def _describe(settings):
    parts = []
    for kind in ("cache", "dynamic_evaluation"):
        if settings[kind]:
            named = (f"{name.strip('_')}={value}" for name, value in settings[kind].items())
            parts.append(f"{kind.replace('_', ' ')} ({', '.join(named)})")
    return " and ".join(parts) or "model alone"
