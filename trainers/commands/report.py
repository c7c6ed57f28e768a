"""Writes an HTML report on trained runs."""

import math
import pathlib

from absl import flags

from awd_keras.atomic_write import atomic_write
from awd_keras.data import sotu
from awd_keras.data.load import is_published
from awd_keras.evaluation import ContinuousCache, Scorer, perplexity
from awd_keras.generation import TextGenerator
from trainers import run_text
from trainers.errors import NonFiniteLossError, UserError
from trainers.presets import PRESETS, authors_cache
from trainers.reporting.page import curves_svg, render_page
from trainers.reporting.stages import read_cache_settings, read_stages
from trainers.reporting.word_losses import WordLosses
from trainers.training import RunFolder, factory
from trainers.training.progress import Progress

FLAGS = flags.FLAGS


def main():
    if not FLAGS.workdir:
        raise UserError("--workdir is required: the folder of a trained run.")
    folders = [RunFolder(workdir) for workdir in FLAGS.workdir]
    names = [folder.path.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = FLAGS.workdir
    output = pathlib.Path(FLAGS.output or folders[0].path / "report.html")
    for folder in folders:
        folder.read_config()
    # Open the file first, so that a wrong path is reported before any work.
    with atomic_write(output, encoding="utf-8") as file:
        runs = [_read_run(name, folder) for name, folder in zip(names, folders, strict=True)]
        if len({run["vocabulary"] for run in runs}) > 1:
            raise UserError(
                "The runs of a report must have the same vocabulary, or their perplexities cannot "
                f"be compared. Received: --workdir={', '.join(FLAGS.workdir)}"
            )
        metrics = {run["name"]: run["metrics"] for run in runs if run["metrics"]}
        file.write(render_page(runs, curves_svg(metrics) if metrics else None))
    print(f"report: {output}")


def _read_run(name, folder):
    model, vocabulary, config = factory.load_run(folder.path)
    print(f"reading {folder.path} ...", flush=True)
    facts = folder.read_config()[1]
    generator = TextGenerator(model, vocabulary)
    samples = FLAGS.num_samples and generator.generate(
        num_samples=FLAGS.num_samples, max_words=FLAGS.max_words, seed=FLAGS.seed
    )
    is_comparable = is_published(config.corpus, facts.get("num_tokens"), len(vocabulary))
    published = {
        name: preset
        for name, preset in PRESETS.items()
        if is_comparable and preset.expected and preset.config.corpus == config.corpus
    }
    baseline = None
    if (facts.get("name"), len(vocabulary)) == (sotu.NAME, sotu.VOCABULARY_SIZE):
        baseline = "Kneser-Ney trigram", sotu.KNESER_NEY_TRIGRAM
    return {
        "name": name,
        "config": config,
        "corpus": facts.get("name", config.corpus),
        "vocabulary": vocabulary.digest,
        "vocabulary_size": len(vocabulary),
        "num_parameters": model.count_params(),
        "metrics": folder.read_metrics(),
        "results": folder.read_results(),
        "stages": read_stages(folder),
        "published": published,
        "baseline": baseline,
        "samples": [
            vocabulary.tokenizer.join(text.words) + ("" if text.finished else " …")
            for text in samples or ()
        ],
        "seed": FLAGS.seed,
        "words": _read_words(model, vocabulary, config, folder) if FLAGS.max_tokens > 1 else None,
    }


def _read_words(model, vocabulary, config, folder):
    """Scores the beginning of the validation text, with and without the cache."""
    corpus = run_text.load_run_corpus(folder, FLAGS.data_dir)
    settings = read_cache_settings(folder)
    if settings:
        cache = ContinuousCache(**settings)
    else:
        cache = ContinuousCache(*authors_cache(config.corpus).values())
    token_ids = corpus.validation[: FLAGS.max_tokens]
    words, progress = WordLosses(vocabulary), Progress()
    for scores in Scorer(model, cache).score(token_ids):
        words.add(scores.targets, scores.without_cache, scores.log_probabilities)
        progress.live(lambda: f"scored {words.num_tokens:,} of {len(token_ids) - 1:,} words")
    progress.close()
    if not all(map(math.isfinite, words.losses)):
        raise NonFiniteLossError(f"The loss of {folder.path} on its validation text is not finite.")
    origin = "as evaluated" if settings else "the authors' settings"
    is_whole = len(token_ids) == len(corpus.validation)
    return {
        "text": "the validation text" if is_whole else "the beginning of the validation text",
        "cache": f"window {cache.window}, theta {cache.theta}, lambda {cache.lambda_}; {origin}",
        "num_tokens": words.num_tokens,
        "perplexity": perplexity(words.losses[0]),
        "perplexity_with_cache": perplexity(words.losses[1]),
        "min_count": FLAGS.min_count,
        "by_total": words.largest("total", FLAGS.num_words),
        "by_mean": words.largest("mean", FLAGS.num_words, FLAGS.min_count),
        "gained": words.largest("gain", FLAGS.num_words),
        "lost": words.largest("gain", FLAGS.num_words, sign=-1),
    }
