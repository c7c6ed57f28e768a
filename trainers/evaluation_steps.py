"""The steps of `trainers.evaluate` that take time, with a line on where they are."""

import contextlib
import math

from trainers.errors import NonFiniteLossError, UserError


def collect_statistics(dynamic_evaluation, token_ids, batch_size, max_windows, progress):
    """Collects the statistics of dynamic evaluation on the training text.

    Args:
        dynamic_evaluation: `DynamicEvaluation`.
        token_ids, batch_size, max_windows: of its `collect_statistics`.
        progress: `Progress`.

    Raises:
        UserError: if the text is too short, or the gradients are not finite.
    """
    progress.line("dynamic evaluation: collecting the statistics of the training text ...")
    try:
        dynamic_evaluation.collect_statistics(
            token_ids,
            batch_size,
            max_windows,
            lambda done, total: progress.live(lambda: f"statistics: {done:,} of {total:,} windows"),
        )
    except ValueError as error:
        raise UserError(f"--dyneval: {error}") from None


def search(model, token_ids, caches, dynamic_evaluations, batch_size, progress):
    """Tries settings on the validation text.

    Args:
        model: the model.
        token_ids: the validation text, or the part of it to read.
        caches, dynamic_evaluations, batch_size: of `evaluation.search`.
        progress: `Progress`.

    Returns:
        a list of `Trial`, the best first.

    Raises:
        NonFiniteLossError: if the model diverged in all of them.
    """
    from awd_keras import evaluation

    readings = "once" if len(dynamic_evaluations) == 1 else f"{len(dynamic_evaluations)} times"
    progress.line(
        f"searching: {len(caches) * len(dynamic_evaluations):,} settings on {len(token_ids):,} "
        f"tokens of the validation text, which is read {readings} ..."
    )

    def show(done, total, loss):
        progress.live(
            lambda: (
                f"searching: {done / total:4.0%}, perplexity without cache "
                f"{evaluation.perplexity(loss):.2f}"
            )
        )

    trials = evaluation.search(
        model, token_ids, caches, dynamic_evaluations, batch_size, on_window=show
    )
    if not math.isfinite(trials[0].result.loss):
        raise NonFiniteLossError("The model's loss is not finite, whatever the settings.")
    return trials


def measure(model, vocabulary, text, batch_size, cache, dynamic_evaluation, per_token, progress):
    """Measures the model alone, and with what was asked for.

    Args:
        model: the model.
        vocabulary: its `Vocabulary`.
        text: `run_text.Text`.
        batch_size: columns into which the text is cut.
        cache: None or a `ContinuousCache`.
        dynamic_evaluation: None or a `DynamicEvaluation` with its statistics.
        per_token: None, or path of a table of the words at the last stage.
        progress: `Progress`.

    Returns:
        a dictionary of stage to `Summary`: "model", "cache", "dynamic_evaluation" and
        "dynamic_evaluation_and_cache", as far as they were asked for, in this order.

    Raises:
        NonFiniteLossError: if the model diverged; the table is not written then.
    """
    stages = {}
    readings = {"": None, "dynamic_evaluation": dynamic_evaluation}
    if dynamic_evaluation is None:
        del readings["dynamic_evaluation"]
    last = list(readings)[-1]
    for name, learning in readings.items():
        alone, mixed = _read(
            model,
            vocabulary,
            text,
            batch_size,
            cache,
            learning,
            per_token if name == last else None,
            progress,
        )
        stages[name or "model"] = alone
        if cache:
            stages[f"{name}_and_cache" if name else "cache"] = mixed
    return stages


def _read(model, vocabulary, text, batch_size, cache, dynamic_evaluation, per_token, progress):
    """Reads the text once; the sums without and with the cache."""
    from awd_keras.evaluation import Scorer, Summary, TokenTable, perplexity

    num_tokens = batch_size * (len(text.token_ids) // batch_size - 1)
    alone, mixed = Summary(vocabulary.unk_id), Summary(vocabulary.unk_id)
    scorer = Scorer(model, cache, dynamic_evaluation, ranks=bool(per_token))
    table = TokenTable(per_token, vocabulary) if per_token else None
    what = "dynamic evaluation" if dynamic_evaluation else "evaluating"

    def receive(scores):
        alone.add(scores.targets, scores.without_cache)
        mixed.add(scores.targets, scores.log_probabilities)
        if not math.isfinite(mixed.result.loss):
            remedy = " Try a smaller --dyneval_learning_rate." if dynamic_evaluation else ""
            raise NonFiniteLossError(
                f"The loss on {text.name} is no longer finite after {mixed.result.num_tokens:,} "
                f"tokens.{remedy}"
            )
        if table:
            table.add(scores.targets, scores.log_probabilities, scores.ranks)
        done = mixed.result
        progress.live(
            lambda: (
                f"{what}: {done.num_tokens:,} of {num_tokens:,} tokens, perplexity "
                f"{perplexity(done.loss):.2f}"
            )
        )

    with table or contextlib.nullcontext():
        scorer.score(text.token_ids, receive, batch_size)
    return alone, mixed
