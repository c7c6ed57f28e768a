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
from awd_keras.data import EOS, UNK
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
from trainers.table import format_table
from trainers.training import RunFolder, factory
from trainers.training.progress import Progress

FLAGS = flags.FLAGS
# Settings of the authors of AWD-LSTM, by corpus; the first are the default for other corpora.
_CACHES = {
    "ptb": {"window": 500, "theta": 1.0, "lambda": 0.1},
    "wikitext2": {"window": 3785, "theta": 0.662, "lambda": 0.1279},
}
_CACHE_GRID = {
    "window": [100, 500, 2000],
    "theta": [0.1, 0.3, 0.6, 1.0, 1.5, 2.5],
    "lambda": [0.03, 0.05, 0.1, 0.15, 0.2, 0.3],
}
_DYNEVAL = {"learning_rate": 5e-5, "decay_rate": 2e-3}
_DYNEVAL_GRID = {"learning_rate": [2e-5, 5e-5, 1e-4, 2e-4], "decay_rate": [1e-3, 3e-3]}
_SHOWN_TRIALS = 10


def main():
    """Evaluates the run, writes the results and prints them."""
    _check_flags()
    model, vocabulary, config = factory.load_run(FLAGS.workdir, FLAGS.dtype)
    batch_size = _batch_size(config)
    caches, dynamic_evaluations = _caches(config), _dynamic_evaluations(model)
    corpus = None
    if FLAGS.search or FLAGS.dyneval or not FLAGS.data_file:
        facts = RunFolder(FLAGS.workdir).read_config()[1]
        corpus = run_text.load_run_corpus(config, facts, vocabulary, FLAGS.data_dir)
    if FLAGS.data_file:
        text = run_text.read_text(FLAGS.data_file, vocabulary)
    else:
        token_ids, num_unknown = getattr(corpus, FLAGS.split), corpus.unknown_counts[FLAGS.split]
        text = run_text.Text(FLAGS.split, token_ids, num_unknown)
    _check_length(text.name, text.token_ids, batch_size)
    output = pathlib.Path(FLAGS.output or _default_output())
    progress, trials = Progress(), []
    with contextlib.ExitStack() as stack:
        # Opened before the work, so that a folder that cannot be written to is noticed early.
        file = stack.enter_context(atomic_write(output))
        table = None
        if FLAGS.per_token:
            table = stack.enter_context(atomic_write(FLAGS.per_token, encoding="utf-8"))
            table.write("word\tlog_probability\trank\n")
        if FLAGS.dyneval:
            _collect_statistics(dynamic_evaluations[-1], corpus.train, progress)
        if FLAGS.search:
            validation = corpus.validation[: FLAGS.search_tokens]
            trials = _search(model, validation, caches, dynamic_evaluations, batch_size, progress)
            caches, dynamic_evaluations = [trials[0].cache], [trials[0].dynamic_evaluation]
        stages = _evaluate(
            model, vocabulary, text, batch_size, caches[0], dynamic_evaluations[0], table, progress
        )
        results = {
            "corpus": config.corpus,
            "text": f"file: {FLAGS.data_file}" if FLAGS.data_file else FLAGS.split,
            "batch_size": batch_size,
            "dtype": config.dtype,
            "num_text_tokens": len(text.token_ids),
            "num_out_of_vocabulary": text.num_unknown,
            **_settings(caches[0], dynamic_evaluations[0]),
            **list(stages.values())[-1],
            "stages": stages,
        }
        if trials:
            trials = [
                {**_settings(trial.cache, trial.dynamic_evaluation), **trial.result.to_dict()}
                for trial in trials
            ]
            results["search"] = {"num_tokens": trials[0]["num_tokens"], "trials": trials}
        file.write(json.dumps(results, indent=2) + "\n")
    _print_results(results, text.name)
    print(f"results: {output}")
    print(f"{text.name} perplexity: {results['perplexity']:.2f}")


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
        raise UserError(
            "--per_token needs --batch_size=1, which reads the words in the order of the text. "
            f"Received: batch_size={FLAGS.batch_size}"
        )


def _batch_size(config):
    if FLAGS.batch_size is not None:
        return FLAGS.batch_size
    if FLAGS.data_file or FLAGS.per_token or FLAGS.cache or FLAGS.dyneval:
        return 1
    return config.test_batch_size if FLAGS.split == "test" else config.validation_batch_size


def _caches(config):
    """Returns the cache to use, or those to try: `None` first, which stands for no cache."""
    if not FLAGS.cache:
        return [None]
    default = _CACHES.get(config.corpus, _CACHES["ptb"])
    caches = []
    with _explain("--cache"):
        for window, theta, lambda_ in _grid("cache", _CACHE_GRID if FLAGS.search else default):
            caches.append(ContinuousCache(int(window), theta, lambda_, FLAGS.cache_only_full))
    return [None, *caches] if FLAGS.search else caches


def _dynamic_evaluations(model):
    """Returns the dynamic evaluation to use, or those to try: `None` first, for none."""
    if not FLAGS.dyneval:
        return [None]
    with _explain("--dyneval"):
        shared = DynamicEvaluation(model, epsilon=FLAGS.dyneval_epsilon, bptt=FLAGS.dyneval_bptt)
        found = [
            shared.replace(learning_rate=learning_rate, decay_rate=decay_rate)
            for learning_rate, decay_rate in _grid(
                "dyneval", _DYNEVAL_GRID if FLAGS.search else _DYNEVAL
            )
        ]
    return [None, *found] if FLAGS.search else found


def _grid(prefix, defaults):
    """Returns all combinations of the settings: given by flags, else by default."""
    choices = []
    for name, default in defaults.items():
        flag = FLAGS[f"{prefix}_{name}"]
        values = [float(value) for value in flag.value] if flag.present else np.ravel(default)
        if len(values) > 1 and not FLAGS.search:
            raise UserError(f"--{flag.name} takes a list only with --search.")
        choices.append(values)
    return list(itertools.product(*choices))


@contextlib.contextmanager
def _explain(flag):
    try:
        yield
    except ValueError as error:
        raise UserError(f"{flag}: {error}") from error


def _check_length(name, token_ids, batch_size):
    if len(token_ids) < 2 * batch_size:
        raise UserError(
            f"The {name} text must have at least two tokens per column. Received: "
            f"{len(token_ids):,} tokens, batch_size={batch_size}"
        )


def _default_output():
    """One file for each text and each combination of methods."""
    text = FLAGS.split
    if FLAGS.data_file:
        path = pathlib.Path(FLAGS.data_file)
        # The digest tells files of the same name in different folders apart.
        digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
        text = f"file-{path.name}-{digest[:6]}"
    methods = [name for name in ("cache", "dyneval", "search") if FLAGS[name].value]
    return pathlib.Path(FLAGS.workdir, "-".join(["evaluation", text, *methods]) + ".json")


def _collect_statistics(dynamic_evaluation, token_ids, progress):
    progress.line("collecting gradient statistics on the training text ...")
    with _explain("--dyneval"):
        dynamic_evaluation.collect_statistics(
            token_ids,
            FLAGS.dyneval_statistics_batch_size,
            FLAGS.dyneval_statistics_windows,
            lambda done, total: progress.live(lambda: f"statistics: {done:,} of {total:,} windows"),
        )


def _search(model, token_ids, caches, dynamic_evaluations, batch_size, progress):
    """Returns the trials that did not diverge, the best first."""
    _check_length("validation", token_ids, batch_size)
    num_trials = len(caches) * len(dynamic_evaluations)
    progress.line(f"searching {num_trials:,} settings on {len(token_ids):,} validation tokens ...")
    trials = search(
        model,
        token_ids,
        caches,
        dynamic_evaluations,
        batch_size,
        lambda done, total: progress.live(lambda: f"searching: {done / total:.0%}"),
    )
    trials = [trial for trial in trials if math.isfinite(trial.result.loss)]
    if not trials:
        raise NonFiniteLossError("The loss on the validation text is not finite with any settings.")
    return trials


def _evaluate(model, vocabulary, text, batch_size, cache, dynamic_evaluation, table, progress):
    """Returns the figures of the model alone and with each method; the table is of the last."""
    stages = {}
    for learning in [None, dynamic_evaluation] if dynamic_evaluation else [None]:
        ranked = table is not None and learning is dynamic_evaluation
        windows, num_done = [], 0
        for window in Scorer(model, cache, learning, ranked).score(text.token_ids, batch_size):
            if not np.all(np.isfinite(window.log_probabilities)):
                advice = " Try a smaller --dyneval_learning_rate." if learning else ""
                raise NonFiniteLossError(f"The loss on {text.name} is not finite.{advice}")
            if ranked:
                _write_words(table, vocabulary, window)
            windows.append(window[:3])
            num_done += window.targets.size
            live = f"evaluating: {num_done:,} of {len(text.token_ids):,} tokens"
            progress.live(lambda: live)  # noqa: B023
        targets, mixed, alone = (np.concatenate(pieces, axis=1) for pieces in zip(*windows))
        stages["dynamic_evaluation" if learning else "model"] = _figures(vocabulary, targets, alone)
        if cache:
            name = "dynamic_evaluation_and_cache" if learning else "cache"
            stages[name] = _figures(vocabulary, targets, mixed)
    progress.close()
    return stages


def _write_words(table, vocabulary, window):
    columns = map(np.ravel, (window.targets, window.log_probabilities, window.ranks))
    table.writelines(
        f"{vocabulary.words[target]}\t{log_probability:.6f}\t{rank}\n"
        for target, log_probability, rank in zip(*columns, strict=True)
    )


def _figures(vocabulary, targets, log_probabilities):
    losses = -log_probabilities.astype(np.float64)
    known = targets != vocabulary.unk_id
    figures = {
        **EvaluationResult(float(losses.sum()), losses.size).to_dict(),
        "num_unk": int(np.sum(~known)),
        "perplexity_without_unk": perplexity(losses[known].mean()) if known.any() else None,
    }
    words = set(vocabulary.words) - {UNK, EOS}
    if words and all(len(word) == 1 for word in words):
        figures["bits_per_character"] = figures["loss"] / math.log(2)
    return figures


def _settings(cache, dynamic_evaluation):
    return {
        "cache": dataclasses.asdict(cache) if cache else None,
        "dynamic_evaluation": dynamic_evaluation.settings if dynamic_evaluation else None,
    }


def _print_results(results, name):
    if "search" in results:
        trials = results["search"]["trials"]
        shown = trials[:_SHOWN_TRIALS]
        # For comparison, the model alone.
        shown += [t for t in trials[_SHOWN_TRIALS:] if not (t["cache"] or t["dynamic_evaluation"])]
        rows = [[_describe(trial), f"{trial['perplexity']:.2f}"] for trial in shown]
        print(f"best of {len(trials):,} settings:")
        print(format_table([["", "validation perplexity"], *rows]))
    print(
        f"{name}: {results['num_tokens']:,} tokens predicted, batch size {results['batch_size']}; "
        f"{results['num_out_of_vocabulary']:,} of {results['num_text_tokens']:,} not in the "
        f"vocabulary; {results['num_unk']:,} of the predicted tokens are <unk>"
    )
    print(f"settings: {_describe(results)}")
    names = ["loss", "perplexity", "perplexity_without_unk", "bits_per_character"]
    names = [name for name in names if results.get(name) is not None]
    rows = [["", *(name.replace("_", " ") for name in names)]]
    for stage, figures in results["stages"].items():
        rows.append([stage.replace("_", " "), *(f"{figures[name]:.4f}" for name in names)])
    print(format_table(rows))


def _describe(settings):
    """Describes the cache and the dynamic evaluation of a trial or of the results."""
    parts = []
    for kind in ("cache", "dynamic_evaluation"):
        if settings[kind]:
            named = (f"{name.strip('_')}={value}" for name, value in settings[kind].items())
            parts.append(f"{kind.replace('_', ' ')} ({', '.join(named)})")
    return " and ".join(parts) or "model alone"
