"""Log-probabilities of the words of a text, optionally with cache and dynamic evaluation."""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from awd_keras.data import batchify
from awd_keras.evaluation.windows import predict_window, read_windows, window_length
from awd_keras.models.train_step import window_signature


class TokenScores(NamedTuple):
    """Scores of the words of a window, in arrays of shape `(batch_size, timesteps)`.

    Attributes:
        targets: The ids of the words.
        log_probabilities: Their log-probabilities.
        without_cache: Their log-probabilities from the model alone.
        ranks: Their ranks according to the model alone, 1 for the most probable word; `None`
            unless requested.
        hidden: Tensor of shape `(batch_size, timesteps, features)`, the outputs of the last layer.
    """

    targets: np.ndarray
    log_probabilities: np.ndarray
    without_cache: np.ndarray
    ranks: np.ndarray | None
    hidden: tf.Tensor


class Scorer:
    """Scores the words of texts.

    Args:
        model: An `AWDLSTMLanguageModel`.
        cache: A `ContinuousCache`, or `None` (the default).
        dynamic_evaluation: A `DynamicEvaluation` of the model with its statistics, or `None` (the
            default).
        ranks: Whether to compute the ranks of the words. Defaults to `False`.

    Example:

    >>> from awd_keras.evaluation import ContinuousCache
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(10, embedding_dim=4, hidden_dim=4, num_layers=1)
    >>> scorer = Scorer(model, cache=ContinuousCache(window=5, theta=1.0, lambda_=0.2))
    >>> [scores.log_probabilities.shape for scores in scorer.score([1, 2, 3, 1, 2])]
    [(1, 4)]
    """

    def __init__(self, model, cache=None, dynamic_evaluation=None, ranks=False):
        self._model = model
        self._cache = cache
        self._dynamic_evaluation = dynamic_evaluation
        self._predict = tf.function(
            lambda inputs, targets, states: predict_window(model, inputs, targets, states),
            input_signature=window_signature(model),
        )
        self._ranks = ranks

    def score(self, token_ids, batch_size=1):
        """Scores every token of a text except the first one of each column.

        Args:
            token_ids: Integer array of shape `(num_tokens,)`.
            batch_size: Number of columns that the text is split into. Defaults to 1, as in the
                published results of the cache and dynamic evaluation.

        Yields:
            The `TokenScores` of each window. With dynamic evaluation, the model's weights are
            restored when the iterator is exhausted or closed.

        Raises:
            ValueError: If the text is too short for the batch size.
        """
        columns = batchify(token_ids, batch_size)
        vocabulary_size, features = self._model.decoder.matrix.shape
        if self._cache:
            cache_state = self._cache.initial_state(batch_size, features)
        length, adapting = window_length(batch_size, vocabulary_size), nullcontext(self._predict)
        if self._dynamic_evaluation:
            length, adapting = self._dynamic_evaluation.bptt, self._dynamic_evaluation.adapting()
        with adapting as step:
            states = self._model.initial_state(batch_size)
            windows = read_windows(step, columns, states, length)
            for targets, log_probabilities, logits, hidden in windows:
                mixed = log_probabilities
                if self._cache:
                    mixed, cache_state = self._cache.mix(mixed, hidden, targets, cache_state)
                ranks = _rank(logits, targets).numpy() if self._ranks else None
                without_cache = log_probabilities.numpy()
                yield TokenScores(targets, mixed.numpy(), without_cache, ranks, hidden)


def _rank(logits, targets):
    target_logits = tf.gather(logits, targets, batch_dims=2)[..., tf.newaxis]
    return 1 + tf.math.count_nonzero(logits > target_logits, axis=-1, dtype=tf.int32)
