"""A grid search for the settings of the continuous cache and of dynamic evaluation."""

import dataclasses
import math

import tensorflow as tf

from awd_keras.evaluation.continuous_cache import (
    ContinuousCache,
    cache_log_probabilities,
    mix_log_probabilities,
    remember,
)
from awd_keras.evaluation.dynamic_evaluation import DynamicEvaluation
from awd_keras.evaluation.evaluate import EvaluationResult
from awd_keras.evaluation.scorer import empty_cache, text_windows
from awd_keras.evaluation.token_log_probabilities import make_predict_step


@dataclasses.dataclass(frozen=True)
class Trial:
    """Settings that were tried, and what they gave.

    Args:
        cache: None or a `ContinuousCache`.
        dynamic_evaluation: None or a `DynamicEvaluation`.
        result: `EvaluationResult`; its loss is not a number if the model diverged.
    """

    cache: ContinuousCache | None
    dynamic_evaluation: DynamicEvaluation | None
    result: EvaluationResult


def search(
    model, token_ids, caches=(None,), dynamic_evaluations=(None,), batch_size=1, on_window=None
):
    """Evaluates a model with each cache and each dynamic evaluation together.

    The text is read once for each dynamic evaluation: all caches share what the model says, and
    caches that differ in `lambda_` alone cost one together.

    Args:
        model: an `AWDLSTMLanguageModel`, or a model with its `backbone`, `decoder` and
            `initial_state`.
        token_ids: integer array (num_tokens,): the validation text, or a part of it.
        caches: `ContinuousCache` objects; None among them stands for no cache.
        dynamic_evaluations: `DynamicEvaluation` objects of the model, with their statistics; None
            among them stands for the model as it is.
        batch_size: columns into which the text is cut.
        on_window: None, or a function of (tokens done, tokens in all, loss of the model without
            cache in this reading), called after each window.

    Returns:
        a list of `Trial`, the best first; those that diverged last.

    Raises:
        ValueError: if there is nothing to try, or the text is too short for the batch size.

    Example:

    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(10, embedding_dim=4, hidden_dim=4, num_layers=1)
    >>> caches = [None] + [ContinuousCache(50, theta, 0.3) for theta in (0.0, 1.0)]
    >>> trials = search(model, [1, 2, 3] * 10, caches)
    >>> len(trials), trials[0].cache is None
    (3, False)
    """
    caches, dynamic_evaluations = tuple(caches), tuple(dynamic_evaluations)
    if not caches or not dynamic_evaluations:
        raise ValueError(
            "There is nothing to search: give at least one of `caches` and one of "
            f"`dynamic_evaluations`. Received: caches={caches}, "
            f"dynamic_evaluations={dynamic_evaluations}"
        )
    grid = _CacheGrid(caches)
    predict = make_predict_step(model)
    num_tokens = batch_size * (len(token_ids) // batch_size - 1)
    trials = []
    for index, dynamic_evaluation in enumerate(dynamic_evaluations):
        grid.reset(model, batch_size)
        done = index * num_tokens
        with text_windows(
            model, token_ids, batch_size, predict, dynamic_evaluation, grid.window
        ) as windows:
            for targets, log_probabilities, _, hidden in windows:
                grid.add(log_probabilities, hidden, tf.constant(targets))
                done += targets.size
                if on_window is not None:
                    on_window(done, num_tokens * len(dynamic_evaluations), grid.loss)
                if math.isnan(grid.loss):
                    break  # it stays so, with every cache
        for cache, total in zip(caches, grid.totals(caches)):
            trials.append(Trial(cache, dynamic_evaluation, EvaluationResult(total, num_tokens)))
    return sorted(trials, key=lambda trial: (math.isnan(trial.result.loss), trial.result.loss))


class _CacheGrid:
    """Sums of nats for many caches at once.

    Caches of one window, theta and mode share their similarities; all share one state, that of
    the largest window.
    """

    def __init__(self, caches):
        self.window = max((cache.window for cache in caches if cache), default=None)
        self._lambdas = {}
        for cache in filter(None, caches):
            self._lambdas.setdefault(_group(cache), []).append(cache.lambda_)
        self._step = tf.function(self._losses, reduce_retracing=True)
        self._remember = tf.function(remember, reduce_retracing=True)

    def reset(self, model, batch_size):
        largest = ContinuousCache(self.window, theta=0, lambda_=0) if self.window else None
        self._state = empty_cache(largest, model, batch_size) if largest else None
        self._alone = 0.0
        self._num_tokens = 0
        self._sums = {group: [0.0] * len(lambdas) for group, lambdas in self._lambdas.items()}

    @property
    def loss(self):
        return self._alone / self._num_tokens

    def add(self, log_probabilities, hidden, targets):
        self._alone -= float(tf.reduce_sum(tf.cast(log_probabilities, tf.float64)))
        self._num_tokens += targets.shape.num_elements()
        if self.window is None:
            return
        for group, lambdas in self._lambdas.items():
            window, theta, only_full = group
            losses = self._step(
                log_probabilities,
                hidden,
                targets,
                self._state,
                tf.constant(window),
                tf.constant(theta, tf.float64),
                tf.constant(lambdas, tf.float64),
                only_full,
            )
            sums = zip(self._sums[group], losses.numpy().tolist(), strict=True)
            self._sums[group] = [total + loss for total, loss in sums]
        self._state = self._remember(hidden, targets, self._state, tf.constant(self.window))

    @staticmethod
    def _losses(log_probabilities, hidden, targets, state, window, theta, lambdas, only_full):
        of_cache, used = cache_log_probabilities(hidden, targets, state, window, theta, only_full)
        lambdas = lambdas[:, tf.newaxis, tf.newaxis]
        mixed = mix_log_probabilities(log_probabilities, of_cache, used, lambdas)
        return -tf.reduce_sum(tf.cast(mixed, tf.float64), axis=(1, 2))

    def totals(self, caches):
        """The sum of each cache, in their order."""
        return [
            self._sums[_group(cache)][self._lambdas[_group(cache)].index(cache.lambda_)]
            if cache
            else self._alone
            for cache in caches
        ]


def _group(cache):
    return cache.window, float(cache.theta), cache.only_full
