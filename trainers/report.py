"""Writes one page on trained runs: what was set, what came out, where the model errs.

  python -m trainers.report --workdir=runs/ptb
  python -m trainers.report --workdir=runs/ptb --workdir=runs/other --output=both.html

The page is one HTML file that needs nothing else: configuration, curves, perplexities of all stages
that are on disk (of the run, of the run fine-tuned from it, of `trainers.evaluate`), samples, the
hardest words, and those that gain and lose most by the continuous cache. For these the first
--max_tokens of the validation text are read. The runs are not changed.
"""

import math
import os
import pathlib

from absl import flags

from trainers import command, evaluation_flags, run_text
from trainers.errors import NonFiniteLossError, UserError

FLAGS = flags.FLAGS
_LEAST = {"max_tokens": 0, "num_samples": 0, "max_words": 1, "num_words": 1, "min_count": 1}


def main():
    flags.DEFINE_multi_string("workdir", [], "run folder (required); again for one more run")
    flags.DEFINE_string("output", None, "page to write; default: RUN/report.html of the first run")
    flags.DEFINE_string("data_dir", None, "folder of the runs' corpus, if it is elsewhere by now")
    flags.DEFINE_integer(
        "max_tokens",
        20_000,
        "of the validation text, read the first so many; 0: leave the tables "
        "of words out, which needs no text",
    )
    flags.DEFINE_integer("num_words", 20, "rows of a table of words")
    flags.DEFINE_integer("min_count", 5, "how often a word must come to be called hard each time")
    flags.DEFINE_integer("num_samples", 3, "how many texts to write by each run")
    flags.DEFINE_integer("max_words", 60, "words after which such a text ends")
    flags.DEFINE_integer("seed", 0, "of these texts")
    command.main(_report)


def _report():
    from trainers import reporting
    from trainers.training.progress import Progress
    from trainers.training.run_folder import write_beside

    folders = _check_folders()
    generation = _check_numbers()
    output = pathlib.Path(FLAGS.output or folders[0].path / "report.html")
    command.check_writable(output)
    progress = Progress()
    reports = []
    for name, folder in zip(_names(folders), folders):
        progress.line(f"reading {folder.path} ...")
        reports.append(_read_run(name, folder, generation, progress))
    progress.close()
    curves, missing = None, "no run was validated yet"
    runs = {report.name: report.metrics for report in reports if report.metrics}
    if runs:
        try:
            curves = reporting.curves_svg(runs)
        except ImportError:
            missing = "matplotlib is not installed; pip install matplotlib, and write this again"
    if curves is None:
        print(f"curves: not drawn ({missing})")
    write_beside(output, reporting.render_page(reports, curves, missing))
    print(f"report: {output}")


def _check_folders():
    """The run folders, after what can be said of them before any work."""
    from trainers.training import RunFolder

    if not FLAGS.workdir or not all(FLAGS.workdir):
        raise UserError("--workdir is required: the folder of a trained run.")
    if len({os.path.realpath(workdir) for workdir in FLAGS.workdir}) < len(FLAGS.workdir):
        raise UserError(f"--workdir names a run twice. Received: {', '.join(FLAGS.workdir)}")
    folders = [RunFolder(workdir) for workdir in FLAGS.workdir]
    digests = []
    for folder in folders:
        if not folder.check():
            raise UserError(
                f"There is no run in {folder.path}. Train one first, or name its folder."
            )
        if not folder.best_checkpoint.exists():
            raise UserError(
                f"{folder.best_checkpoint} is missing: the run in {folder.path} has no trained "
                "weights yet."
            )
        vocabulary = folder.read_vocabulary()
        digests.append((vocabulary.digest, len(vocabulary)))
    for folder, (digest, size) in zip(folders, digests):
        if digest != digests[0][0]:
            raise UserError(
                "The runs of one page need one vocabulary, or their perplexities could not be "
                f"compared. Received: {folders[0].path} with {digests[0][1]:,} words (sha256 "
                f"{digests[0][0][:12]}), {folder.path} with {size:,} ({digest[:12]})"
            )
    return folders


def _check_numbers():
    """The settings of the samples, None for no samples."""
    from awd_keras.generation import GenerationConfig

    for name, least in _LEAST.items():
        if FLAGS[name].value < least:
            raise UserError(
                f"{name} must be an integer of at least {least}. Received: {FLAGS[name].value}"
            )
    if FLAGS.max_tokens == 1:
        raise UserError("max_tokens must be 0 or at least 2: the first is only read. Received: 1")
    config = GenerationConfig(max(FLAGS.num_samples, 1), FLAGS.max_words, seed=FLAGS.seed)
    return config if FLAGS.num_samples else None


def _names(folders):
    """The folders' own names, or their paths where these are the same."""
    names = [folder.path.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder.path) for folder in folders]


def _read_run(name, folder, generation, progress):
    """Everything that the page tells of a run."""
    from awd_keras.generation import TextGenerator
    from trainers import reporting
    from trainers.training import factory

    facts = folder.read_config()[1]
    stages = reporting.read_stages(folder)
    model, vocabulary, config = factory.load_run(folder.path)
    samples = []
    if generation:
        samples = list(TextGenerator(model, vocabulary).generate("", generation))
    words = None
    if FLAGS.max_tokens:
        corpus = run_text.load_run_corpus(config, facts, vocabulary, FLAGS.data_dir)
        words = _read_words(model, vocabulary, config, folder, corpus.validation, progress)
    return reporting.RunReport(
        name=name,
        config=config,
        corpus=facts.get("name", config.corpus),
        vocabulary_size=len(vocabulary),
        num_parameters=model.count_params(),
        metrics=_read_metrics(folder),
        results=folder.read_results(),
        stages=stages,
        published=reporting.published_presets(config, facts, len(vocabulary)),
        baseline=reporting.baseline(facts, len(vocabulary)),
        samples=samples,
        seed=FLAGS.seed,
        words=words,
    )


def _read_metrics(folder):
    """The rows of metrics.csv, which hold nothing but numbers."""
    rows = folder.read_metrics()
    try:
        for value in (value for row in rows for value in row.values()):
            float(value)
    except ValueError as error:
        raise UserError(f"{folder.metrics_file} cannot be read: {error}") from None
    return rows


def _read_words(model, vocabulary, config, folder, validation, progress):
    """Reads the beginning of the validation text, without the cache and with it."""
    from awd_keras.evaluation import ContinuousCache, Scorer, perplexity
    from trainers.reporting import WordLosses, WordTables, read_cache_settings

    settings = read_cache_settings(folder)
    origin = "as it was evaluated with" if settings else "settings of the authors'"
    if settings is None:
        window, theta, lambda_ = evaluation_flags.CACHES.get(
            config.corpus, evaluation_flags.CACHES["ptb"]
        )
        settings = {"window": window, "theta": theta, "lambda_": lambda_}
    try:
        cache = ContinuousCache(**settings)
    except (TypeError, ValueError) as error:
        raise UserError(f"The cache with which {folder.path} was evaluated: {error}") from None
    token_ids = validation[: FLAGS.max_tokens]
    words = WordLosses(vocabulary)

    def receive(scores):
        words.add(scores.targets, scores.without_cache, scores.log_probabilities)
        if not math.isfinite(words.loss_with_cache):
            raise NonFiniteLossError("The loss on the validation text is not finite.")
        progress.live(lambda: f"words: {words.num_tokens:,} of {len(token_ids) - 1:,}")

    Scorer(model, cache).score(token_ids, receive)
    whole = len(token_ids) == len(validation)
    return WordTables(
        text="the validation text" if whole else "the beginning of the validation text",
        cache=f"window {cache.window}, theta {cache.theta:g}, lambda {cache.lambda_:g}, {origin}",
        min_count=FLAGS.min_count,
        num_tokens=words.num_tokens,
        perplexity=perplexity(words.loss),
        perplexity_with_cache=perplexity(words.loss_with_cache),
        by_total=words.hardest("total", FLAGS.num_words),
        by_mean=words.hardest("mean", FLAGS.num_words, FLAGS.min_count),
        gained=words.most_gained(FLAGS.num_words),
        lost=words.most_lost(FLAGS.num_words),
    )


if __name__ == "__main__":
    main()
