"""Scores of each word of a text, with the continuous cache and dynamic evaluation if wished."""

import contextlib
import dataclasses

import numpy as np
import tensorflow as tf

from awd_keras.data.batching import batchify
from awd_keras.evaluation.token_log_probabilities import (
    make_predict_step,
    read_windows,
    window_length,
)


@dataclasses.dataclass(frozen=True)
class TokenScores:
    """What was found of the words of a window.

    Args:
        targets: int array (batch_size, timesteps): the words.
        log_probabilities: float array of that shape.
        without_cache: the same by the model alone; the same array if there is no cache.
        ranks: None, or int array of that shape: 1 where no word was likelier.
    """

    targets: np.ndarray
    log_probabilities: np.ndarray
    without_cache: np.ndarray
    ranks: np.ndarray | None


class Scorer:
    """Scores texts, word by word, with one graph.

    Args:
        model: an `AWDLSTMLanguageModel`, or a model with its `backbone`, `decoder` and
            `initial_state`.
        cache: None or a `ContinuousCache`.
        dynamic_evaluation: None or a `DynamicEvaluation` of the model, with its statistics.
        ranks: whether to rank the words. With a cache this takes the time and memory of the
            softmax once more.

    Example:

    >>> from awd_keras.evaluation import ContinuousCache
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(10, embedding_dim=4, hidden_dim=4, num_layers=1)
    >>> scorer = Scorer(model, cache=ContinuousCache(window=5, theta=1.0, lambda_=0.2))
    >>> scorer.score([1, 2, 3, 1, 2], lambda scores: print(scores.log_probabilities.shape))
    (1, 4)
    """

    def __init__(self, model, cache=None, dynamic_evaluation=None, ranks=False):
        self._model = model
        self._cache = cache
        self._dynamic_evaluation = dynamic_evaluation
        self._with_ranks = ranks
        self._predict = make_predict_step(model)
        self._mix_step = tf.function(self._mix, reduce_retracing=True)
        self._rank_step = tf.function(self._rank, reduce_retracing=True)

    def score(self, token_ids, receive, batch_size=1):
        """Predicts every token of a text but the first of each column.

        Args:
            token_ids: integer array (num_tokens,).
            receive: function that is given the `TokenScores` of one window after another. What it
                raises comes through, and the model's weights are those from before.
            batch_size: columns into which the text is cut. The protocol of the cache and of
                dynamic evaluation has 1: one cache, and one model that learns, for the whole text.

        Raises:
            ValueError: if the text is too short for the batch size.
        """
        cache_window = self._cache.window if self._cache else None
        cache_state = empty_cache(self._cache, self._model, batch_size) if self._cache else None
        with text_windows(
            self._model,
            token_ids,
            batch_size,
            self._predict,
            self._dynamic_evaluation,
            cache_window,
        ) as windows:
            for targets, log_probabilities, logits, hidden in windows:
                mixed, ranks = log_probabilities, None
                words = tf.constant(targets)
                if self._with_ranks:
                    ranks = self._rank_step(logits, hidden, words, cache_state).numpy()
                if self._cache:
                    mixed, cache_state = self._mix_step(
                        log_probabilities, hidden, words, cache_state
                    )
                alone = log_probabilities.numpy()
                mixed = mixed.numpy() if self._cache else alone
                receive(TokenScores(targets, mixed, alone, ranks))

    def _mix(self, log_probabilities, hidden, targets, cache_state):
        return self._cache.mix(log_probabilities, hidden, targets, cache_state)

    def _rank(self, logits, hidden, targets, cache_state):
        values = logits
        if self._cache:
            values = tf.nn.softmax(logits)
            values = self._cache.mix_distribution(values, hidden, targets, cache_state)
        of_targets = tf.gather(values, targets, batch_dims=2)[..., tf.newaxis]
        return 1 + tf.math.count_nonzero(values > of_targets, axis=-1, dtype=tf.int32)


def empty_cache(cache, model, batch_size):
    """The `initial_state` of a `ContinuousCache` for a model: float64 for a float64 model."""
    dtype = tf.nest.flatten(model.initial_state(1))[0].dtype
    return cache.initial_state(batch_size, model.decoder.matrix.shape[1], dtype)


@contextlib.contextmanager
def text_windows(model, token_ids, batch_size, predict, dynamic_evaluation=None, cache_window=None):
    """Opens a text to be read window by window, each the longest that is worth it.

    Args:
        model: the model.
        token_ids: integer array (num_tokens,).
        batch_size: columns into which the text is cut.
        predict: the model's `make_predict_step`.
        dynamic_evaluation: None, or a `DynamicEvaluation`: then a window is one of its segments,
            and the model learns as long as the text is open.
        cache_window: None, or the size of the cache that what is read is for.

    Yields:
        an iterator over `(targets, log_probabilities, logits, hidden)`, see `predict_window`.

    Raises:
        ValueError: if the text is too short for the batch size.
    """
    columns = batchify(token_ids, batch_size)
    states = model.initial_state(batch_size)
    if dynamic_evaluation is None:
        length = window_length(batch_size, model.decoder.matrix.shape[0], cache_window)
        yield read_windows(predict, columns, states, length)
    else:
        with dynamic_evaluation.adapting() as step:
            yield read_windows(step, columns, states, dynamic_evaluation.bptt)
