"""Loss and perplexity of a model on a text."""

import dataclasses
import functools
import math

import tensorflow as tf

from awd_keras.data import batchify
from awd_keras.evaluation.windows import read_windows
from awd_keras.models.train_step import window_loss, window_signature

# Tokens per window. Another value would change the last digits of the float32 sums.
_WINDOW_TOKENS = 2000


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    Args:
        total_loss: Sum of the losses of all predicted tokens, in nats.
        num_tokens: Number of predicted tokens.
    """

    total_loss: float
    num_tokens: int

    @property
    def loss(self):
        """Mean loss per predicted token, in nats."""
        return self.total_loss / self.num_tokens

    @property
    def perplexity(self):
        """The exponential of the loss; infinity if it overflows."""
        return perplexity(self.loss)

    def to_dict(self):
        """Returns a dictionary with `loss`, `perplexity` and `num_tokens`."""
        return {"loss": self.loss, "perplexity": self.perplexity, "num_tokens": self.num_tokens}


def perplexity(loss):
    """Returns the exponential of a loss in nats per token; infinity if it overflows."""
    return math.inf if loss >= 709 else math.exp(loss)


class Evaluator:
    """Evaluates a model on texts, with one graph for all lengths and batch sizes.

    It is faster than `Scorer` and never stores all logits of a window.

    Args:
        model: An `AWDLSTMLanguageModel`, or a model with the same `backbone`, `decoder` and
            `initial_state`.
    """

    def __init__(self, model):
        self._model = model
        self._step = tf.function(
            functools.partial(window_loss, model), input_signature=window_signature(model)
        )

    def evaluate(self, token_ids, batch_size=10, on_window=None):
        """Predicts every token of a text except the first one of each column.

        Args:
            token_ids: Integer array of shape `(num_tokens,)`.
            batch_size: Number of columns that the text is split into. Defaults to 10, which the
                paper uses for the validation text; it uses 1 for the test text.
            on_window: Function called after each window with the number of tokens predicted so far
                and their total number, or `None` (the default).

        Returns:
            An `EvaluationResult`.

        Raises:
            ValueError: If the text is too short for the batch size.
        """
        columns = batchify(token_ids, batch_size)
        num_tokens = batch_size * (columns.shape[1] - 1)
        states = self._model.initial_state(batch_size)
        total_loss, num_predicted = 0.0, 0
        length = max(1, _WINDOW_TOKENS // batch_size)
        for targets, loss in read_windows(self._step, columns, states, length):
            total_loss += float(loss)
            num_predicted += targets.size
            if on_window is not None:
                on_window(num_predicted, num_tokens)
        return EvaluationResult(total_loss, num_tokens)


def evaluate(model, token_ids, batch_size=10):
    """Evaluates a model once; see `Evaluator.evaluate` for the arguments and the result."""
    return Evaluator(model).evaluate(token_ids, batch_size)
