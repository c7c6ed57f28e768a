"""Log-probabilities of single lines, such as the hypotheses of a speech recognizer."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from awd_keras.evaluation.windows import read_windows, window_length
from awd_keras.models.train_step import window_signature

_PADDING = -1


class LineScore(NamedTuple):
    """The score of a line.

    Attributes:
        log_probability: Natural logarithm of the line's probability; minus infinity if a word is
            unknown and the vocabulary has no `<unk>`.
        num_tokens: Number of predicted tokens: the words and the `<eos>` at the end. The perplexity
            of the line is `exp(-log_probability / num_tokens)`.
        num_unknown: Number of words that are not in the vocabulary and are scored as `<unk>`.
    """

    log_probability: float
    num_tokens: int
    num_unknown: int


class LineScorer:
    """Scores lines independently of each other.

    A line is scored like the first line of a text: from a zero state, after an `<eos>`. Lines are
    read in blocks and scored in batches of similar length, which bounds memory use.

    Args:
        model: An `AWDLSTMLanguageModel`.
        vocabulary: Its `Vocabulary`.
        batch_size: Maximum number of lines in a batch. Defaults to 128.
        block_lines: Number of lines to read ahead and sort by length. Defaults to 8192.

    Raises:
        InputError: If the vocabulary has no `<eos>`, or its size differs from the model's.

    Example:

    >>> from awd_keras.data import Vocabulary
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> vocabulary = Vocabulary(["<unk>", "<eos>", "the", "cat"])
    >>> model = AWDLSTMLanguageModel(4, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> scorer = LineScorer(model, vocabulary)
    >>> [score.num_tokens for score in scorer.score(["the dog", "the", ""])]
    [3, 2, 1]
    """

    def __init__(self, model, vocabulary, batch_size=128, block_lines=8192):
        vocabulary.check_compatible(model.backbone.vocabulary_size)
        self._model = model
        self._vocabulary = vocabulary
        self._batch_size = batch_size
        self._block_lines = block_lines
        self._step = tf.function(self._score_window, input_signature=window_signature(model))

    def score(self, lines):
        """Yields the `LineScore` of each line of an iterable of strings, in order."""
        lines = iter(lines)
        while block := [line.split() for line in itertools.islice(lines, self._block_lines)]:
            num_unknown = [sum(word not in self._vocabulary for word in line) for line in block]
            totals = np.full(len(block), -math.inf)
            for batch in self._batches(block, num_unknown):
                totals[batch] = self._score_batch([block[index] for index in batch])
            for line, total, unknown in zip(block, totals.tolist(), num_unknown, strict=True):
                yield LineScore(total, len(line) + 1, unknown)

    def _batches(self, lines, num_unknown):
        """Yields batches of indices of lines of similar length, skipping impossible lines."""
        batch = []
        for index in sorted(range(len(lines)), key=lambda index: len(lines[index])):
            if num_unknown[index] and self._vocabulary.unk_id is None:
                continue
            if batch and (
                len(batch) == self._batch_size or len(lines[index]) > 10 + 2 * len(lines[batch[0]])
            ):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _score_batch(self, lines):
        """Returns the log-probabilities of lines of words."""
        columns = np.full((len(lines), max(map(len, lines)) + 2), _PADDING, np.int32)
        for row, line in zip(columns, lines, strict=True):
            row[: len(line) + 2] = self._vocabulary.encode(["<eos>", *line, "<eos>"])
        states = self._model.initial_state(len(lines))
        length = window_length(len(lines), len(self._vocabulary))
        windows = read_windows(self._step, columns, states, length)
        return sum(sums.numpy() for _, sums in windows)

    def _score_window(self, inputs, targets, states):
        """Returns the total log-probability of each row, ignoring padding, and the states."""
        _, outputs, states = self._model.backbone(tf.maximum(inputs, 0), states, training=False)
        places = tf.where(targets != _PADDING)
        logits = self._model.decoder(tf.gather_nd(outputs, places))
        target_logits = tf.gather(logits, tf.gather_nd(targets, places), batch_dims=1)
        log_probabilities = target_logits - tf.reduce_logsumexp(logits, axis=1)
        # Sum in float64, since lines may be long.
        sums = tf.math.unsorted_segment_sum(
            tf.cast(log_probabilities, tf.float64), places[:, 0], tf.shape(targets)[0]
        )
        return sums, states
