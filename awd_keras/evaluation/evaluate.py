"""Loss and perplexity of a model on a text."""

import dataclasses
import functools
import gc
import math

import tensorflow as tf

from awd_keras.data import batchify
from awd_keras.evaluation.windows import read_windows
from awd_keras.layers.weight_drop_lstm import WeightDropLSTM
from awd_keras.models.constant_weights import constant_recurrent_weights
from awd_keras.models.train_step import window_loss, window_signature

# Tokens per window. Another value would change the last digits of the float32 sums.
_WINDOW_TOKENS = 2000
# Tracing a graph with constant weights takes seconds, which shorter texts and smaller layers do not
# make up for.
_CONSTANT_WEIGHTS_STEPS = 5000
_CONSTANT_WEIGHTS_UNITS = 512


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
    """Evaluates a model on texts of any length and batch size.

    It is faster than `Scorer` and never stores all logits of a window. On a CPU, large LSTMs
    evaluate each long text by a graph of its own, which contains the current recurrent weights as
    constants.

    Args:
        model: An `AWDLSTMLanguageModel`, or a model with the same `backbone`, `decoder` and
            `initial_state`.
    """

    def __init__(self, model):
        self._model = model
        self._step = self._trace(functools.partial(window_loss, model))

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
        num_steps = columns.shape[1] - 1
        num_tokens = batch_size * num_steps
        states = self._model.initial_state(batch_size)
        total_loss, num_predicted = 0.0, 0
        length = max(1, _WINDOW_TOKENS // batch_size)
        layers = self._model.backbone.lstm_layers
        units = max((x.units for x in layers if isinstance(x, WeightDropLSTM)), default=0)
        is_large = num_steps >= _CONSTANT_WEIGHTS_STEPS and units >= _CONSTANT_WEIGHTS_UNITS
        step = self.constant_step() if is_large else self._step
        for targets, loss in read_windows(step, columns, states, length):
            total_loss += float(loss)
            num_predicted += targets.size
            if on_window is not None:
                on_window(num_predicted, num_tokens)
        if is_large:
            del step
            gc.collect()  # graphs are in reference cycles, and this one holds copies of weights
        return EvaluationResult(total_loss, num_tokens)

    def constant_step(self):
        """Returns a function like `window_loss`, for the current weights, in a graph of its own."""
        if tf.config.list_logical_devices("GPU"):
            return self._step

        def step(inputs, targets, states):
            with constant_recurrent_weights(self._model.backbone):
                return window_loss(self._model, inputs, targets, states)

        return self._trace(step)

    def _trace(self, step):
        return tf.function(step, input_signature=window_signature(self._model))


def evaluate(model, token_ids, batch_size=10):
    """Evaluates a model once; see `Evaluator.evaluate` for the arguments and the result."""
    return Evaluator(model).evaluate(token_ids, batch_size)
