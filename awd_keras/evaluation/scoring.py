"""Log-probabilities of lines, each by itself.

Lines are read in blocks and scored in batches of like length, so that neither the text nor much
padding is ever held: a stream of any length takes the memory of a block.
"""

import codecs
import dataclasses
import itertools
import math

import numpy as np
import tensorflow as tf

from awd_keras.data.vocabulary_check import check_vocabulary
from awd_keras.errors import InputError
from awd_keras.evaluation.token_log_probabilities import window_signature

# A block ends at so many words even if it has few lines.
_BLOCK_WORDS = 1_000_000
# Logits held at once: 256 MiB of them, but no more words than a product needs to be fast.
_LOGITS = 64 * 2**20
_BATCH_WORDS = 4096
_PADDING = -1


@dataclasses.dataclass(frozen=True)
class LineScore:
    """What a model makes of a line.

    Args:
        log_probability: natural logarithm of the line's probability. Minus infinity for a line
            with unknown words if the vocabulary has no `<unk>` to stand for them.
        num_words: words predicted: those of the line and the `<eos>` at its end, so that
            `exp(-log_probability / num_words)` is the perplexity of the line.
        num_unknown: words of the line outside the vocabulary, scored as `<unk>`. A `<unk>` that
            is written in the line is not among them.
    """

    log_probability: float
    num_words: int
    num_unknown: int


class LineScorer:
    """Scores lines with one model and one graph.

    A line is scored as if the text began with it: from a zero state, after the `<eos>` that ends
    the line before it. What is predicted are its words and the `<eos>` at its end.

    Args:
        model: an `AWDLSTMLanguageModel`.
        vocabulary: its `Vocabulary`.
        batch_size: lines scored at once, at most.
        block_lines: lines read at once, at most. The first result comes when so many lines are
            read, or the last.

    Raises:
        InputError: if a size is below 1.
        InputError: if the vocabulary has no `<eos>`, or not the size of the model's.

    Example:

    >>> from awd_keras.data import Vocabulary
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> vocabulary = Vocabulary(["<unk>", "<eos>", "the", "cat"])
    >>> model = AWDLSTMLanguageModel(4, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> scorer = LineScorer(model, vocabulary)
    >>> [score.num_words for score in scorer.score(["the dog", "the", ""])]
    [3, 2, 1]
    """

    def __init__(self, model, vocabulary, batch_size=128, block_lines=8192):
        for name, size in (("batch_size", batch_size), ("block_lines", block_lines)):
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise InputError(f"{name} must be a positive integer. Received: {size!r}")
        check_vocabulary(vocabulary, model.backbone.vocabulary_size)
        self._model = model
        self._vocabulary = vocabulary
        self._batch_size = batch_size
        self._block_lines = block_lines
        self._batch_words = max(1, min(_BATCH_WORDS, _LOGITS // model.backbone.vocabulary_size))
        self._step = tf.function(self._log_probabilities, input_signature=window_signature(model))

    def _log_probabilities(self, inputs, targets, states):
        """The sum over each row's targets in float64, and the states; padding is not computed."""
        _, outputs, states = self._model.backbone(inputs, states, training=False)
        places = tf.where(targets != _PADDING)
        logits = self._model.decoder(tf.gather_nd(outputs, places))
        of_targets = tf.gather(logits, tf.gather_nd(targets, places), batch_dims=1)
        log_probabilities = of_targets - tf.reduce_logsumexp(logits, axis=1)
        by_row = tf.scatter_nd(
            places, tf.cast(log_probabilities, tf.float64), tf.shape(targets, tf.int64)
        )
        return tf.reduce_sum(by_row, axis=1), states

    def score(self, lines):
        """Scores lines, reading ahead by a block at most.

        Args:
            lines: iterable of strings. None stands for a line that cannot be scored.

        Yields:
            a `LineScore` for each line in its order, None for None.
        """
        lines = iter(lines)
        while block := self._read_block(lines):
            yield from self._score_block(block)

    def _read_block(self, lines):
        """Takes lines as `_encode` returns them, or None."""
        block, num_words = [], 0
        for line in itertools.islice(lines, self._block_lines):
            block.append(None if line is None else self._encode(line))
            num_words += 0 if line is None else len(block[-1][0])
            if num_words >= _BLOCK_WORDS:
                break
        return block

    def _encode(self, line):
        """Returns the ids between two `<eos>`, and how many words are unknown and predicted."""
        vocabulary = self._vocabulary
        words = line.split()
        num_words = len(words) + 1
        num_unknown = sum(word not in vocabulary for word in words)
        if num_unknown and vocabulary.unk_id is None:
            # They have no probability, so it does not matter what is computed for the others.
            words = []
        ids = np.empty(len(words) + 2, np.int32)
        ids[0] = ids[-1] = vocabulary.eos_id
        ids[1:-1] = vocabulary.encode(words)
        return ids, num_unknown, num_words

    def _score_block(self, block):
        scores = [None] * len(block)
        order = [index for index, line in enumerate(block) if line is not None]
        # Longest first: the rows of a batch that are not at their end yet are its first ones.
        order.sort(key=lambda index: -len(block[index][0]))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            totals = self._score_batch([block[index][0] for index in batch])
            for index, total in zip(batch, totals):
                _, num_unknown, num_words = block[index]
                if num_unknown and self._vocabulary.unk_id is None:
                    total = -math.inf
                scores[index] = LineScore(float(total), num_words, num_unknown)
        return scores

    def _score_batch(self, lines):
        """Log-probabilities of lines that are sorted, the longest first, in windows of words."""
        lengths = np.array([len(line) - 1 for line in lines])
        totals = np.zeros(len(lines))
        states = self._model.initial_state(len(lines))
        start = 0
        while start < lengths[0]:
            rows = int(np.count_nonzero(lengths > start))
            end = min(start + max(1, self._batch_words // rows), int(lengths[0]))
            inputs = np.zeros((rows, end - start), np.int32)
            targets = np.full((rows, end - start), _PADDING, np.int32)
            for row, line in enumerate(lines[:rows]):
                ids = line[start : end + 1]
                inputs[row, : len(ids) - 1] = ids[:-1]
                targets[row, : len(ids) - 1] = ids[1:]
            states = tf.nest.map_structure(lambda state: state[:rows], states)  # noqa: B023
            some, states = self._step(tf.constant(inputs), tf.constant(targets), states)
            totals[:rows] += some.numpy()
            start = end
        return totals


def decoded_lines(stream):
    r"""Reads a stream line by line, and goes on after a line that is not UTF-8.

    Args:
        stream: binary file object; nothing is read ahead.

    Yields:
        the lines without their ends, None for one that is not UTF-8.

    Example:

    >>> import io
    >>> list(decoded_lines(io.BytesIO(b"the cat\r\ncaf\xe9\n")))
    ['the cat', None]
    """
    for number, line in enumerate(stream):
        if number == 0:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield None
