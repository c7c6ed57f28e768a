"""Dynamic evaluation: the model goes on learning from the text that it is measured on."""

import contextlib
import copy
import math
import numbers
import types

import tensorflow as tf

from awd_keras.data.batching import batchify
from awd_keras.evaluation.token_log_probabilities import (
    predict_window,
    read_windows,
    window_signature,
)
from awd_keras.ops.cross_entropy import sequence_cross_entropy


class DynamicEvaluation:
    """Dynamic evaluation (Krause, Kahembwe, Murray and Renals 2018, arXiv 1709.07432).

    The text is read in segments. Each is predicted first; then the weights take one step on it:

    `w += -learning_rate * g / (RMS + epsilon) + min(1, decay_rate * RMS / mean(RMS)) * (w0 - w)`

    Here `g` is the gradient of the segment's loss per token, `w0` the trained weight and `RMS` the
    root of the mean square of the weight's gradients on the training text. The mean of the RMS is
    over all weights of the model, as in the paper and in Lamb; the authors' program takes the mean
    of the means of its matrices, so its decay rates are not quite ours.

    Args:
        model: an `AWDLSTMLanguageModel`, or a model with its `backbone`, `decoder` and
            `initial_state`.
        learning_rate: of the steps (the authors' `lr`). Longer segments want larger ones.
        decay_rate: how fast the weights return to the trained ones (`lamb`).
        epsilon: keeps weights whose gradients are small from large steps (`epsilon`).
        bptt: tokens of a segment in each column (`bptt`).

    Raises:
        ValueError: naming the argument that is out of its range.

    Example:

    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(10, embedding_dim=4, hidden_dim=4, num_layers=1)
    >>> dynamic_evaluation = DynamicEvaluation(model, learning_rate=1e-4)
    >>> dynamic_evaluation.collect_statistics([1, 2, 3] * 100, batch_size=10)
    6
    >>> with dynamic_evaluation.adapting() as step:
    ...     results = step(tf.constant([[1, 2]]), tf.constant([[2, 3]]), model.initial_state(1))
    >>> results[0].shape  # log-probabilities; the model's weights are as they were
    TensorShape([1, 2])
    """

    def __init__(self, model, learning_rate=5e-5, decay_rate=2e-3, epsilon=2e-5, bptt=5):
        self.model = model
        self._set(learning_rate, decay_rate, epsilon, bptt)
        self._statistics = types.SimpleNamespace(rms=None, mean=None, step=None)
        self._step = _make_adapting_step(model)

    def _set(self, learning_rate, decay_rate, epsilon, bptt):
        def check(name, value, holds, expected):
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not holds(value):
                raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")

        number = "a finite number, at least 0"
        check("learning_rate", learning_rate, lambda v: 0 <= v < math.inf, number)
        check("decay_rate", decay_rate, lambda v: 0 <= v < math.inf, number)
        check("epsilon", epsilon, lambda v: 0 < v < math.inf, "a finite number above 0")
        check(
            "bptt", bptt, lambda v: isinstance(v, numbers.Integral) and v >= 1, "a positive integer"
        )
        self.learning_rate, self.decay_rate = learning_rate, decay_rate
        self.epsilon, self.bptt = epsilon, bptt

    @property
    def settings(self):
        """Learning rate, decay rate, epsilon and bptt, by name."""
        names = ("learning_rate", "decay_rate", "epsilon", "bptt")
        return {name: getattr(self, name) for name in names}

    def replace(self, **settings):
        """A copy with other settings; both share the graph, and statistics that either collects."""
        other = copy.copy(self)
        other._set(**{**self.settings, **settings})
        return other

    @property
    def root_mean_squares(self):
        """RMS of each of the model's trainable variables; None before `collect_statistics`."""
        return None if self._statistics.mean is None else self._statistics.rms

    def collect_statistics(self, token_ids, batch_size=100, max_windows=None, on_window=None):
        """Measures the gradients on the training text, without dropout and without learning.

        Args:
            token_ids: integer array (num_tokens,): the training text.
            batch_size: columns into which it is cut (the authors' 100); fewer for a short text.
                The statistics depend on it: more columns make smaller gradients.
            max_windows: None for the whole text, or how many windows of it to take.
            on_window: None, or a function of (windows done, windows in all), called after each.

        Returns:
            the number of windows.

        Raises:
            ValueError: if the text is too short, or the gradients are not finite.
        """
        columns = batchify(token_ids, max(1, min(batch_size, len(token_ids) // (self.bptt + 1))))
        num_windows = -(-(columns.shape[1] - 1) // self.bptt)
        if max_windows is not None:
            num_windows = min(num_windows, max_windows)
            columns = columns[:, : num_windows * self.bptt + 1]
        statistics = self._statistics
        statistics.mean = None
        if statistics.rms is None:
            statistics.rms = [tf.Variable(tf.zeros_like(v)) for v in self.model.trainable_variables]
            statistics.step = _make_squares_step(self.model, statistics.rms)
        # Sums of squares until the end.
        for values in statistics.rms:
            values.assign(tf.zeros_like(values))
        states = self.model.initial_state(columns.shape[0])
        windows = read_windows(statistics.step, columns, states, self.bptt)
        for count, _ in enumerate(windows, start=1):
            if on_window is not None:
                on_window(count, num_windows)
        total = 0.0
        for values in statistics.rms:
            values.assign(tf.sqrt(values / num_windows))
            total += float(tf.reduce_sum(tf.cast(values, tf.float64)))
        mean = total / sum(values.shape.num_elements() for values in statistics.rms)
        if not 0 < mean < math.inf:
            raise ValueError(
                "The gradients on the training text must be finite, and not all zero. Received: "
                f"a mean RMS of {mean}. The model's weights are damaged, or its training diverged."
            )
        statistics.mean = mean
        return num_windows

    @contextlib.contextmanager
    def adapting(self):
        """Lets the model learn as it reads, for as long as the `with` block lasts.

        The weights are copied aside and put back bit for bit, whatever happens inside.

        Yields:
            a function of (inputs, targets, states) like `predict_window` of the model, which
            changes the model's weights after its predictions.

        Raises:
            ValueError: before `collect_statistics`.
        """
        rms, mean = self._statistics.rms, self._statistics.mean
        if mean is None:
            raise ValueError(
                "DynamicEvaluation needs the statistics of the gradients on the training text: "
                "call collect_statistics(token_ids) first."
            )
        variables = self.model.trainable_variables
        trained = [tf.identity(tf.convert_to_tensor(variable)) for variable in variables]
        rates = [self.learning_rate / (values + self.epsilon) for values in rms]
        decays = [tf.minimum(self.decay_rate / mean * values, 1) for values in rms]
        try:
            yield lambda inputs, targets, states: self._step(
                inputs, targets, states, trained, rates, decays
            )
        finally:
            for variable, value in zip(variables, trained, strict=True):
                variable.assign(value)


def _make_adapting_step(model):
    variables = model.trainable_variables
    like_weights = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]

    @tf.function(input_signature=[*window_signature(model), *[like_weights] * 3])
    def step(inputs, targets, states, trained, rates, decays):
        with tf.GradientTape() as tape:
            results = predict_window(model, inputs, targets, states)
            loss = -tf.reduce_mean(results[0])
        gradients = tape.gradient(loss, variables)
        for variable, gradient, *others in zip(
            variables, gradients, trained, rates, decays, strict=True
        ):
            anchor, rate, decay = others
            weights = tf.convert_to_tensor(variable)
            # An untied embedding's gradient comes as rows.
            step = decay * (anchor - weights) - rate * tf.convert_to_tensor(gradient)
            variable.assign(weights + step)
        return results

    return step


def _make_squares_step(model, sums):
    variables = model.trainable_variables

    @tf.function(input_signature=window_signature(model))
    def step(inputs, targets, states):
        with tf.GradientTape() as tape:
            _, outputs, states = model.backbone(inputs, states, training=False)
            decoder = model.decoder
            total, num_tokens = sequence_cross_entropy(
                outputs, decoder.matrix, decoder.bias, targets
            )
            loss = total / num_tokens
        for squares, gradient in zip(sums, tape.gradient(loss, variables), strict=True):
            squares.assign_add(tf.square(tf.convert_to_tensor(gradient)))
        return loss, states

    return step
