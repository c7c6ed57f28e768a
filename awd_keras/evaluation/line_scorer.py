"""Log-probabilities of single lines, such as the hypotheses of a recognizer."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from awd_keras.evaluation.windows import read_windows, window_signature

# Upper limits of a window: its words, since matmuls get no faster, and its logits (256 MiB).
_WINDOW_WORDS = 4096
_WINDOW_LOGITS = 64 * 2**20
_PADDING = -1


class LineScore(NamedTuple):
    """The score of a line.

    Attributes:
        log_probability: Natural logarithm of the line's probability; minus infinity for unknown
            words if the vocabulary has no `<unk>`.
        num_tokens: Number of predicted tokens, the words and the `<eos>` at the end. The line has
            the perplexity `exp(-log_probability / num_tokens)`.
        num_unknown: Number of words that are not in the vocabulary and are scored as `<unk>`.
    """

    log_probability: float
    num_tokens: int
    num_unknown: int


class LineScorer:
    """Scores lines independently of each other.

    A line is scored like the first line of a text: from a zero state, after an `<eos>`. An empty
    line has the score of the `<eos>` at its end. Lines are read in blocks and scored in batches of
    similar length, so a stream of any length needs the memory of one block.

    Args:
        model: An `AWDLSTMLanguageModel`.
        vocabulary: Its `Vocabulary`.
        batch_size: Largest number of lines to score at once. Defaults to 128.
        block_lines: Number of lines to read ahead and sort by length. Defaults to 8192.

    Raises:
        InputError: If the vocabulary has no `<eos>`, or does not have the size of the model's.

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
        """Scores lines.

        Args:
            lines: Iterable of strings, of which one block at a time is read.

        Yields:
            The `LineScore` of each line, in the order of the lines.
        """
        lines = iter(lines)
        while block := [self._encode(line) for line in itertools.islice(lines, self._block_lines)]:
            token_ids, counts = zip(*block, strict=True)
            totals = np.zeros(len(block))
            for batch in self._batches([len(ids) for ids in token_ids]):
                totals[batch] = self._score_batch([token_ids[index] for index in batch])
            for total, (num_tokens, num_unknown) in zip(totals.tolist(), counts, strict=True):
                possible = not num_unknown or self._vocabulary.unk_id is not None
                yield LineScore(total if possible else -math.inf, num_tokens, num_unknown)

    def _encode(self, line):
        """Returns a line's ids between two `<eos>`, and its numbers of tokens and unknown words."""
        words = line.split()
        num_unknown = sum(word not in self._vocabulary for word in words)
        counts = len(words) + 1, num_unknown
        if num_unknown and self._vocabulary.unk_id is None:
            words = []  # cannot be encoded, and is impossible anyway
        return self._vocabulary.encode(["<eos>", *words, "<eos>"]), counts

    def _batches(self, lengths):
        """Yields the indices of lines of similar length."""
        batch = []
        for index in np.argsort(lengths, kind="stable").tolist():
            if batch and (
                len(batch) == self._batch_size or lengths[index] > 8 + 2 * lengths[batch[0]]
            ):
                yield batch
                batch = []
            batch.append(index)
        yield batch

    def _score_batch(self, lines):
        """Returns the log-probabilities of encoded lines."""
        columns = np.full((len(lines), max(map(len, lines))), _PADDING, np.int32)
        for row, line in zip(columns, lines, strict=True):
            row[: len(line)] = line
        states = self._model.initial_state(len(lines))
        num_words = min(_WINDOW_WORDS, _WINDOW_LOGITS // len(self._vocabulary))
        windows = read_windows(self._step, columns, states, max(1, num_words // len(lines)))
        return sum(sums.numpy() for _, sums in windows)

    def _score_window(self, inputs, targets, states):
        """Returns the sums of the log-probabilities of each row without padding, and the states."""
        _, outputs, states = self._model.backbone(tf.maximum(inputs, 0), states, training=False)
        places = tf.where(targets != _PADDING)
        logits = self._model.decoder(tf.gather_nd(outputs, places))
        target_logits = tf.gather(logits, tf.gather_nd(targets, places), batch_dims=1)
        log_probabilities = target_logits - tf.reduce_logsumexp(logits, axis=1)
        # Summed in float64, since lines may be long.
        sums = tf.math.unsorted_segment_sum(
            tf.cast(log_probabilities, tf.float64), places[:, 0], tf.shape(targets)[0]
        )
        return sums, states
