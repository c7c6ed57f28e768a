"""Log-probabilities of lines and their words, such as the hypotheses of a speech recognizer."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from awd_keras.errors import InputError
from awd_keras.evaluation.windows import read_windows, window_length
from awd_keras.models.train_step import window_signature

_PADDING = -1
# Maximum number of tokens to read ahead, if lines are long.
_BLOCK_TOKENS = 2**20
# Limits the memory that a few long lines take.
_WINDOW_STEPS = 1024


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
    """Scores lines independently of each other, or as a running text.

    A line is scored like the first line of a text: from a zero state, after an `<eos>`. Lines are
    read in blocks and scored in batches of similar length, and long lines window by window, which
    bounds memory use.

    Args:
        model: An `AWDLSTMLanguageModel`.
        vocabulary: Its `Vocabulary`.
        batch_size: Maximum number of lines in a batch. Defaults to 128.
        block_lines: Number of lines to read ahead and sort by length. Defaults to 8192.
        carry_state: Whether each line continues from the state at the end of the previous line,
            as in a running text. It is slower, since there are no batches. Defaults to `False`.

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
    >>> [log_probabilities.shape for log_probabilities in scorer.score_tokens(["the dog"])]
    [(3,)]
    """

    def __init__(self, model, vocabulary, batch_size=128, block_lines=8192, carry_state=False):
        vocabulary.check_compatible(model.backbone.vocabulary_size)
        self._model = model
        self._vocabulary = vocabulary
        self._batch_size = batch_size
        self._block_lines = block_lines
        self._carry_state = carry_state
        self._step = tf.function(self._score_window, input_signature=window_signature(model))

    def score(self, lines):
        """Yields the `LineScore` of each line of an iterable of strings, in order."""
        for scores, num_unknown in self._score_lines(lines):
            # Sum in float64, since lines may be long.
            yield LineScore(float(scores.sum(dtype=np.float64)), len(scores), num_unknown)

    def score_tokens(self, lines):
        """Yields an array of log-probabilities for each line of an iterable of strings, in order.

        The tokens are the words, as the vocabulary's tokenizer splits the line, and an `<eos>`. If
        a line has unknown words and the vocabulary has no `<unk>`, all are minus infinity.
        """
        for scores, _ in self._score_lines(lines):
            yield scores

    def _score_lines(self, lines):
        """Yields the log-probabilities of the tokens, and the number of unknown words."""
        states = self._model.initial_state(1)
        for block in self._blocks(lines):
            possible = [index for index, (ids, _) in enumerate(block) if ids[0] != _PADDING]
            scores = {}
            if self._carry_state and possible:
                text = np.concatenate([block[index][0] for index in possible])
                (row,), states = self._score_batch([text], states)
                ends = np.cumsum([len(block[index][0]) for index in possible])
                for index, line in zip(possible, np.split(row, ends[:-1]), strict=True):
                    scores[index] = line
            elif possible:
                for batch in self._batches(block, possible):
                    initial = self._model.initial_state(len(batch))
                    rows, _ = self._score_batch([block[index][0] for index in batch], initial)
                    for index, row in zip(batch, rows, strict=True):
                        scores[index] = row[: len(block[index][0])]
            for index, (ids, num_unknown) in enumerate(block):
                yield scores.pop(index, np.full(len(ids), -math.inf)), num_unknown

    def _blocks(self, lines):
        """Yields lists of `(ids, num_unknown)`, one for each line."""
        block, num_tokens = [], 0
        for line in lines:
            block.append(self._encode(line))
            num_tokens += len(block[-1][0])
            if len(block) == self._block_lines or num_tokens >= _BLOCK_TOKENS:
                yield block
                block, num_tokens = [], 0
        if block:
            yield block

    def _encode(self, line):
        """Returns the ids of a line with its `<eos>`, or only padding if the line is impossible."""
        try:
            return self._vocabulary.encode_lines([line])
        except InputError:  # a word is unknown, and there is no `<unk>`
            tokens = list(self._vocabulary.tokenizer.split(line))
            num_unknown = sum(token not in self._vocabulary for token in tokens)
            return np.full(len(tokens) + 1, _PADDING), num_unknown

    def _batches(self, block, indices):
        """Yields batches of indices of lines of similar length."""
        batch = []
        for index in sorted(indices, key=lambda index: len(block[index][0])):
            if batch and (
                len(batch) == self._batch_size
                or len(block[index][0]) > 10 + 2 * len(block[batch[0]][0])
            ):
                yield batch
                batch = []
            batch.append(index)
        yield batch

    def _score_batch(self, lines, states):
        """Returns the log-probabilities of rows of ids, zero after their ends, and the states."""
        columns = np.full((len(lines), 1 + max(map(len, lines))), _PADDING, np.int32)
        columns[:, 0] = self._vocabulary.eos_id
        for row, line in zip(columns, lines, strict=True):
            row[1 : 1 + len(line)] = line
        length = min(_WINDOW_STEPS, window_length(len(lines), len(self._vocabulary)))
        scores, end = np.empty((len(lines), columns.shape[1] - 1), np.float32), 0
        windows = read_windows(self._step, columns, states, length)
        for targets, window, new_states in windows:
            start, end = end, end + targets.shape[1]
            scores[:, start:end] = window
            states = new_states
        return scores, states

    def _score_window(self, inputs, targets, states):
        """Returns the log-probabilities of the targets, zero for padding, and the states twice."""
        _, outputs, states = self._model.backbone(tf.maximum(inputs, 0), states, training=False)
        places = tf.where(targets != _PADDING)
        logits = self._model.decoder(tf.gather_nd(outputs, places))
        target_logits = tf.gather(logits, tf.gather_nd(targets, places), batch_dims=1)
        log_probabilities = target_logits - tf.reduce_logsumexp(logits, axis=1)
        scores = tf.scatter_nd(places, log_probabilities, tf.shape(targets, tf.int64))
        return scores, states, states  # `read_windows` yields all but the last
