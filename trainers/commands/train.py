"""Trains a model and prints its perplexities."""

import math
import os

import tensorflow as tf
from absl import flags

from awd_keras.data import KNESER_NEY_TRIGRAM
from awd_keras.data.sotu import NAME as SOTU
from trainers import cli, config_flags
from trainers.errors import UserError
from trainers.training import RunFolder, factory, train_and_evaluate
from trainers.training.distribution import Workers, describe_devices, make_strategy
from trainers.training.progress import Progress

FLAGS = flags.FLAGS
# Raised by TensorFlow when another worker is gone.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


def main():
    config = config_flags.config_from_flags()
    return train(config, FLAGS.workdir or config_flags.default_workdir(), FLAGS.strategy)


def train(config, workdir, strategy="one"):
    """Trains or resumes a run, prints the results and returns the exit code."""
    if config.initial_run is not None:
        # The record must not depend on the current directory.
        config = config.replace(initial_run=os.path.abspath(config.initial_run))
    if strategy == "multi_worker":
        print("waiting for the workers of TF_CONFIG ...", flush=True)
    with cli.hold_stderr():
        strategy = make_strategy(strategy)
    workers = Workers(strategy)
    try:
        with strategy.scope():
            return _train(config, RunFolder(workdir), workers)
    except _LOST as error:
        if workers.num_workers == 1:
            raise
        raise UserError(
            "Another worker cannot be reached. Start all workers again to resume from the last "
            "checkpoint."
        ) from error


def _train(config, folder, workers):
    given, (config, reason) = config, _resolve(config, folder)
    if folder.check(config, resume=FLAGS.resume or not workers.is_chief):
        results = folder.read_results()
        if results and _is_finished(results, config) and not FLAGS.forget_best:
            folder.read_best()
            print(f"the run in {folder.path} is finished ({results['epochs']} epochs)")
            _print_results(results, folder, Progress())
            return 0
    corpus = factory.build_corpus(config)
    if workers.num_workers > 1:
        # The others follow the chief's record, and reject different settings or another text.
        if workers.is_chief:
            folder.begin(config, corpus)
        workers.wait()
        config, reason = _resolve(given, folder)
        folder.check(config, corpus=corpus)
        config = config.replace(epochs=folder.read_config()[0].epochs)
    model = factory.build_model(config, len(corpus.vocabulary))
    optimizer = factory.build_optimizer(config, model)
    header = [
        f"run folder: {folder.path}",
        f"corpus: {corpus.describe()}",
        f"model: {model.count_params():,} parameters",
        f"device: {describe_devices()}, {config.dtype} matmuls ({reason}), kernel {config.kernel}",
    ]
    baseline = None
    if corpus.name == SOTU and len(corpus.vocabulary) == 10_000:
        validation, test = (KNESER_NEY_TRIGRAM[split] for split in ("validation", "test"))
        baseline = ("Kneser-Ney trigram, validation", validation)
        header.append(
            f"baseline: Kneser-Ney trigram, {test} on the test text, {validation} on the "
            "validation text"
        )
    result = train_and_evaluate(
        model,
        optimizer,
        corpus,
        config,
        folder,
        baseline=baseline,
        header=header,
        evaluate_test=FLAGS.test,
        forget_best=FLAGS.forget_best,
    )
    if result.reason == "interrupted":
        return cli.EXIT_INTERRUPTED
    if workers.is_chief:
        _print_results(result.to_dict(), folder, Progress(folder.log_file))
    return 0


def _resolve(config, folder):
    return factory.resolve_automatic(config, folder.read_config()[0] if folder.check() else None)


def _is_finished(results, config):
    is_over = results["epochs"] >= config.epochs or results.get("stopped_at_step") is not None
    return is_over and (results["test"] is not None or not FLAGS.test)


def _print_results(results, folder, progress):
    perplexities = {s: results[s]["perplexity"] for s in ("validation", "test") if results[s]}
    if folder.read_vocabulary().has_only_characters:
        bits = (f"{math.log2(value):.4f} {split}" for split, value in perplexities.items())
        progress.line(f"bits per character: {', '.join(bits)}")
    for split, value in perplexities.items():
        progress.line(f"{split} perplexity: {value:.2f}")
