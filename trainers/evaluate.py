"""Measures a trained run on a text of its corpus, or on any text file.

  python -m trainers.evaluate --workdir=runs/ptb                          the test text
  python -m trainers.evaluate --workdir=runs/ptb --split=validation
  python -m trainers.evaluate --workdir=runs/ptb --cache                  the continuous cache
  python -m trainers.evaluate --workdir=runs/ptb --cache --dyneval        and dynamic evaluation
  python -m trainers.evaluate --workdir=runs/ptb --cache --search         with the settings that
                                                    are best on validation, on the test text
  python -m trainers.evaluate --workdir=runs/ptb --data_file=FILE --per_token=WORDS.tsv

The result is a table, and JSON in the run folder, in a file for each text and each of the ways
above (evaluation-test.json, evaluation-test-cache-search.json; evaluation-file-NAME-DIGEST.json, of
the file's path); the run itself is not changed. With
the cache and dynamic evaluation, published results are comparable at --batch_size=1, the default
with either.
"""

import dataclasses
import hashlib
import json
import math
import os
import pathlib

from absl import flags

from trainers import command, evaluation_flags, evaluation_steps, run_text
from trainers.errors import UserError
from trainers.table import format_table

_SHOWN_TRIALS = 10


def main():
    evaluation_flags.define()
    command.main(_evaluate)


def _evaluate():
    from trainers.training import factory
    from trainers.training.progress import Progress
    from trainers.training.run_folder import RunFolder, write_beside

    values = flags.FLAGS
    evaluation_flags.check()
    model, vocabulary, config = factory.load_run(values.workdir, values.dtype)
    output = pathlib.Path(values.output or pathlib.Path(values.workdir, _default_output()))
    for path in filter(None, (output, values.per_token)):
        command.check_writable(path)
    if values.per_token and os.path.realpath(values.per_token) == os.path.realpath(output):
        raise UserError(f"--output and --per_token name one file: {output}. Name two.")
    batch_size = evaluation_flags.batch_size(config)
    caches = evaluation_flags.caches(config)
    dynamic_evaluations = evaluation_flags.dynamic_evaluations(model)
    corpus = None
    if values.search or values.dyneval or not values.data_file:
        facts = RunFolder(values.workdir).read_config()[1]
        corpus = run_text.load_run_corpus(config, facts, vocabulary, values.data_dir)
    if values.data_file:
        text = run_text.read_text(values.data_file, vocabulary)
    else:
        text = run_text.split_of(corpus, values.split)
    _check_length(text.name, text.token_ids, batch_size)

    progress = Progress()
    if values.search:
        validation = corpus.validation[: values.search_tokens]
        _check_length("validation", validation, batch_size)
    if values.dyneval:
        evaluation_steps.collect_statistics(
            dynamic_evaluations[-1],
            corpus.train,
            values.dyneval_statistics_batch_size,
            values.dyneval_statistics_windows,
            progress,
        )
    trials = []
    if values.search:
        trials = evaluation_steps.search(
            model, validation, caches, dynamic_evaluations, batch_size, progress
        )
        caches, dynamic_evaluations = [trials[0].cache], [trials[0].dynamic_evaluation]
    stages = evaluation_steps.measure(
        model,
        vocabulary,
        text,
        batch_size,
        caches[0],
        dynamic_evaluations[0],
        values.per_token,
        progress,
    )

    stages = {name: _figures(summary, vocabulary) for name, summary in stages.items()}
    results = {
        "corpus": config.corpus,
        # Not the name alone, which may be that of a split.
        "text": f"file: {values.data_file}" if values.data_file else values.split,
        "batch_size": batch_size,
        "dtype": config.dtype,
        "num_text_tokens": len(text.token_ids),
        "num_out_of_vocabulary": text.num_unknown,
        "out_of_vocabulary_rate": text.num_unknown / len(text.token_ids),
        **_settings(caches[0], dynamic_evaluations[0]),
        **list(stages.values())[-1],
        "stages": stages,
    }
    if trials:
        results["search"] = {
            "num_tokens": trials[0].result.num_tokens,
            "trials": [
                {**_settings(trial.cache, trial.dynamic_evaluation), **trial.result.to_dict()}
                for trial in trials
            ],
        }
    write_beside(output, json.dumps(_for_json(results), indent=2) + "\n")
    _print_results(results, text.name)
    print(f"results: {output}")
    if values.per_token:
        print(f"words: {values.per_token}")
    print(f"{text.name} perplexity: {results['perplexity']:.2f}")


def _default_output():
    """A name for each text and each kind of evaluation: one does not replace another."""
    values = flags.FLAGS
    text = values.split
    if values.data_file:
        path = pathlib.Path(values.data_file)
        # Files of one name in other folders are other texts.
        digest = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
        text = f"file-{path.name}-{digest[:6]}"
    kinds = [kind for kind in ("cache", "dyneval", "search") if values[kind].value]
    return "-".join(["evaluation", text, *kinds]) + ".json"


def _check_length(name, token_ids, batch_size):
    if len(token_ids) < 2 * batch_size:
        raise UserError(
            f"The {name} text has {len(token_ids):,} tokens, expected at least {2 * batch_size:,}: "
            f"2 for each column. Received: batch_size={batch_size}"
        )


def _settings(cache, dynamic_evaluation):
    return {
        "cache": dataclasses.asdict(cache) if cache else None,
        "dynamic_evaluation": dynamic_evaluation.settings if dynamic_evaluation else None,
    }


def _figures(summary, vocabulary):
    from awd_keras.evaluation import bits, has_characters

    figures = summary.to_dict()
    if has_characters(vocabulary):
        figures["bits_per_character"] = bits(figures["loss"])
    return figures


def _for_json(value):
    """The same without infinities and NaN, which JSON has not: null in their place."""
    if isinstance(value, dict):
        return {name: _for_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value, form):
    return "-" if value is None else format(value, form)


def _print_results(results, name):
    if "search" in results:
        _print_search(results["search"])
    print(
        f"{name}: {results['num_tokens']:,} of {results['num_text_tokens']:,} tokens predicted, "
        f"batch size {results['batch_size']}; {results['num_out_of_vocabulary']:,} "
        f"({results['out_of_vocabulary_rate']:.2%}) outside the vocabulary, "
        f"{results['num_unk']:,} <unk> to predict"
    )
    for kind in ("cache", "dynamic_evaluation"):
        if results[kind]:
            print(f"{kind.replace('_', ' ')}: {_listing(results[kind])}")
    columns = {
        "loss": ("loss", ".4f"),
        "perplexity": ("perplexity", ".2f"),
        "perplexity_without_unk": ("without <unk>", ".2f"),
        "bits_per_character": ("bits per character", ".4f"),
    }
    shown = {key: value for key, value in columns.items() if key in results}
    rows = [["", *(heading for heading, _ in shown.values())]]
    for stage, figures in results["stages"].items():
        cells = [_number(figures[key], form) for key, (_, form) in shown.items()]
        rows.append([stage.replace("_", " "), *cells])
    print(format_table(rows))


def _print_search(search):
    """The best settings, and the model as it is to compare with."""
    trials = search["trials"]
    shown = trials[:_SHOWN_TRIALS]
    alone = [t for t in trials[_SHOWN_TRIALS:] if not (t["cache"] or t["dynamic_evaluation"])]
    names = {
        "window": "cache",
        "theta": "cache",
        "lambda_": "cache",
        "learning_rate": "dynamic_evaluation",
        "decay_rate": "dynamic_evaluation",
    }
    names = {name: kind for name, kind in names.items() if any(t[kind] for t in trials)}
    rows = [[*(name.strip("_").replace("_", " ") for name in names), "validation perplexity"]]
    for trial in shown + alone:
        cells = [_number((trial[kind] or {}).get(name), "g") for name, kind in names.items()]
        rows.append([*cells, _number(trial["perplexity"], ".2f")])
    print(f"the best of {len(trials):,} settings, on {search['num_tokens']:,} validation tokens:")
    print(format_table(rows))


def _listing(settings):
    return ", ".join(f"{name.strip('_')} {value}" for name, value in settings.items())


if __name__ == "__main__":
    main()
