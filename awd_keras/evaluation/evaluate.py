"""Loss and perplexity of a model on a text, with exact token counts."""

import dataclasses
import math

import tensorflow as tf

from awd_keras.data.batching import batchify
from awd_keras.ops.cross_entropy import sequence_cross_entropy
from awd_keras.ops.layout import transposed_ids

# Tokens for which the logits are held at once; the result does not depend on it.
_WINDOW_TOKENS = 2000


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Args:
        total_loss: sum of nats over all predicted tokens.
        num_tokens: how many tokens were predicted.

    Example:

    >>> EvaluationResult(total_loss=20.0, num_tokens=10).perplexity  # e ** 2
    7.38905609893065
    """

    total_loss: float
    num_tokens: int

    @property
    def loss(self):
        """Nats per predicted token."""
        return self.total_loss / self.num_tokens

    @property
    def perplexity(self):
        """exp of the loss; infinity where that is beyond a float."""
        return perplexity(self.loss)

    def to_dict(self):
        return {"loss": self.loss, "perplexity": self.perplexity, "num_tokens": self.num_tokens}


def perplexity(loss):
    """exp of a loss in nats per token; infinity instead of an overflow, NaN of NaN.

    Example:

    >>> perplexity(1e5)
    inf
    """
    return math.inf if loss >= 709 else math.exp(loss)


class Evaluator:
    """Evaluates one model again and again with one graph.

    Args:
        model: an `AWDLSTMLanguageModel`, or a model with its `backbone`, `decoder` and
            `initial_state`.
    """

    def __init__(self, model):
        self._model = model
        token_ids = tf.TensorSpec((None, None), tf.int32)
        states = tf.nest.map_structure(
            lambda state: tf.TensorSpec((None, state.shape[1]), state.dtype),
            model.initial_state(1),
        )
        # Traced once, whatever the batch size and the window.
        self._step = tf.function(self._window_loss, input_signature=[token_ids, token_ids, states])

    def _window_loss(self, inputs, targets, states):
        _, outputs, states = self._model.backbone(
            transposed_ids(inputs), states, training=False, time_major=True
        )
        decoder = self._model.decoder
        total, _ = sequence_cross_entropy(
            outputs, decoder.matrix, decoder.bias, transposed_ids(targets), training=False
        )
        return total, states

    def evaluate(self, token_ids, batch_size=10, on_window=None):
        """Predicts every token of a text but the first of each column.

        Args:
            token_ids: integer array (num_tokens,).
            batch_size: columns into which the text is cut, and read in order with the state
                carried. The paper's protocol has 10 for validation, 1 for the test.
            on_window: None, or a function that is called now and then, and at the end, with the
                number of tokens predicted so far and of those in all.

        Returns:
            `EvaluationResult`.

        Raises:
            ValueError: if the text is too short for the batch size.
        """
        columns = batchify(token_ids, batch_size)
        num_steps = columns.shape[1] - 1
        window = max(1, _WINDOW_TOKENS // batch_size)
        states = self._model.initial_state(batch_size)
        total_loss = 0.0
        for start in range(0, num_steps, window):
            end = min(start + window, num_steps)
            inputs = tf.constant(columns[:, start:end])
            targets = tf.constant(columns[:, start + 1 : end + 1])
            total, states = self._step(inputs, targets, states)
            total_loss += float(total)
            if on_window is not None:
                on_window(batch_size * end, batch_size * num_steps)
        return EvaluationResult(total_loss, batch_size * num_steps)


def evaluate(model, token_ids, batch_size=10):
    """Evaluates a model once; see `Evaluator.evaluate`.

    Args:
        model: an `AWDLSTMLanguageModel`.
        token_ids: integer array (num_tokens,).
        batch_size: columns into which the text is cut.

    Returns:
        `EvaluationResult`.
    """
    return Evaluator(model).evaluate(token_ids, batch_size)
