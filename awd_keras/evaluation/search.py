"""Grid search for the settings of the continuous cache and of dynamic evaluation."""

import dataclasses
import math

import numpy as np

from awd_keras.evaluation.evaluate import EvaluationResult
from awd_keras.evaluation.scorer import Scorer


def search(
    model, token_ids, caches=(None,), dynamic_evaluations=(None,), batch_size=1, on_window=None
):
    """Evaluates a model with every combination of the given caches and dynamic evaluations.

    The text is read once for each dynamic evaluation, and caches that differ only in `lambda_`
    share their similarities.

    Args:
        model: An `AWDLSTMLanguageModel`.
        token_ids: Integer array of shape `(num_tokens,)`: the validation text or its beginning.
        caches: `ContinuousCache` objects; `None` means no cache. Defaults to `(None,)`.
        dynamic_evaluations: `DynamicEvaluation` objects of the model with their statistics; `None`
            means fixed weights. Defaults to `(None,)`.
        batch_size: Number of columns that the text is split into. Defaults to 1.
        on_window: Function called after each window with the number of tokens read so far and the
            total number for all dynamic evaluations, or `None` (the default).

    Returns:
        A list of `(cache, dynamic_evaluation, result)` with an `EvaluationResult`, best first. If
        the model diverged, the loss is NaN; such results come last.

    Raises:
        ValueError: If the text is too short for the batch size.

    Example:

    >>> from awd_keras.evaluation import ContinuousCache
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(10, embedding_dim=4, hidden_dim=4, num_layers=1)
    >>> caches = [None] + [ContinuousCache(50, theta, 0.3) for theta in (0.0, 1.0)]
    >>> (best, _, result), *_ = search(model, [1, 2, 3] * 10, caches)
    >>> best is None, result.num_tokens
    (False, 29)
    """
    # Caches that differ only in lambda share a group and its state.
    groups = {}
    for cache in filter(None, dict.fromkeys(caches)):
        groups.setdefault(dataclasses.replace(cache, lambda_=0.0), []).append(cache)
    num_tokens = batch_size * (len(token_ids) // batch_size - 1)
    features = model.decoder.matrix.shape[1]
    num_read, trials = 0, []
    for dynamic_evaluation in dynamic_evaluations:
        cache_states = {group: group.initial_state(batch_size, features) for group in groups}
        losses = dict.fromkeys([None, *caches], 0.0)
        for scores in Scorer(model, None, dynamic_evaluation).score(token_ids, batch_size):
            losses[None] -= float(np.sum(scores.without_cache, dtype=np.float64))
            for group, members in groups.items():
                mixed, cache_states[group] = group.mix(
                    scores.without_cache,
                    scores.hidden,
                    scores.targets,
                    cache_states[group],
                    np.reshape([cache.lambda_ for cache in members], (-1, 1, 1)),
                )
                for cache, values in zip(members, mixed.numpy(), strict=True):
                    losses[cache] -= float(np.sum(values, dtype=np.float64))
            num_read += scores.targets.size
            if on_window is not None:
                on_window(num_read, num_tokens * len(dynamic_evaluations))
            if math.isnan(losses[None]):
                break  # all losses are NaN from here on
        results = {cache: EvaluationResult(loss, num_tokens) for cache, loss in losses.items()}
        trials += [(cache, dynamic_evaluation, results[cache]) for cache in caches]
    return sorted(trials, key=lambda trial: (math.isnan(trial[2].loss), trial[2].loss))
