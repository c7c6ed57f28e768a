"""Dynamic evaluation: the model keeps learning from the text that it is evaluated on."""

import contextlib
import copy
import math

import numpy as np
import tensorflow as tf

from awd_keras.data import batchify
from awd_keras.evaluation.windows import predict_window, read_windows
from awd_keras.models.train_step import window_signature


class DynamicEvaluation:
    """Dynamic evaluation (Krause, Kahembwe, Murray and Renals 2018, arXiv 1709.07432).

    The text is read in segments. After predicting a segment, the model updates its weights on it:

    `w += -learning_rate * g / (RMS + epsilon) + min(1, decay_rate * RMS / mean(RMS)) * (w0 - w)`

    where `g` is the gradient of the segment's loss per token, `w0` the trained weight and `RMS` the
    root mean square of the weight's gradients on the training text. As in the paper and DeepMind's
    Lamb, `mean(RMS)` is the mean over all weights of the model. The authors' code averages the
    means of the weight matrices instead, so its decay rates are not exactly comparable.

    Args:
        model: An `AWDLSTMLanguageModel`.
        learning_rate: Learning rate (`lr` in the authors' code). Longer segments need a larger one.
            Defaults to 5e-5.
        decay_rate: How fast the weights return to the trained ones (`lamb`). Defaults to 2e-3.
        epsilon: Limits the steps of weights with small gradients. Defaults to 2e-5.
        bptt: Number of tokens per segment in each column. Defaults to 5.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> from awd_keras.evaluation import Scorer
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(10, embedding_dim=4, hidden_dim=4, num_layers=1)
    >>> dynamic_evaluation = DynamicEvaluation(model, learning_rate=1e-4)
    >>> dynamic_evaluation.collect_statistics([1, 2, 3] * 100, batch_size=10)
    6
    >>> scorer = Scorer(model, dynamic_evaluation=dynamic_evaluation)
    >>> len(list(scorer.score([1, 2, 3] * 5)))  # segments of 5 tokens
    3
    """

    def __init__(self, model, learning_rate=5e-5, decay_rate=2e-3, epsilon=2e-5, bptt=5):
        self.model = model
        self.statistics = {}  # "rms" of each variable and their "mean", shared by all copies
        window = window_signature(model)
        weights = [tf.TensorSpec(v.shape, v.dtype) for v in model.trainable_variables]
        self._gradients = tf.function(self._window_gradients, input_signature=window)
        self._adapt = tf.function(self._adapt_to_window, input_signature=[*window, *[weights] * 3])
        self._set(learning_rate=learning_rate, decay_rate=decay_rate, epsilon=epsilon, bptt=bptt)

    def _set(self, **settings):
        for name, value in settings.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be finite and >= 0. Received: {name}={value!r}")
            if value == 0 and name in ("epsilon", "bptt"):
                raise ValueError(f"`{name}` must be > 0. Received: {name}={value!r}")
        self.settings = settings
        self.bptt = settings["bptt"]

    def replace(self, **settings):
        """Returns a copy with other settings that shares the graphs and the statistics."""
        other = copy.copy(self)
        other._set(**(self.settings | settings))
        return other

    def collect_statistics(self, token_ids, batch_size=100, max_windows=None, on_window=None):
        """Measures the gradients on the training text, without dropout and without updates.

        Args:
            token_ids: Integer array of shape `(num_tokens,)`, the training text.
            batch_size: Number of columns that the text is split into; fewer if the text is short.
                The statistics depend on it: gradients averaged over more columns are smaller.
                Defaults to 100, as in the authors' code.
            max_windows: Number of windows to read, or `None` (the default) for the whole text.
            on_window: Function called after each window with the number of windows read so far and
                their total number, or `None` (the default).

        Returns:
            The number of windows read.

        Raises:
            ValueError: If the text is too short, or the gradients are not finite.
        """
        columns = batchify(token_ids, max(1, min(batch_size, len(token_ids) // (self.bptt + 1))))
        num_windows = math.ceil((columns.shape[1] - 1) / self.bptt)
        if max_windows is not None:
            num_windows = min(num_windows, max_windows)
            columns = columns[:, : num_windows * self.bptt + 1]
        self.statistics.clear()
        sums = [0.0] * len(self.model.trainable_variables)
        states = self.model.initial_state(columns.shape[0])
        windows = read_windows(self._gradients, columns, states, self.bptt)
        for num_read, (_, gradients) in enumerate(windows, start=1):
            sums = [total + tf.square(g) for total, g in zip(sums, gradients, strict=True)]
            if on_window is not None:
                on_window(num_read, num_windows)
        rms = [tf.sqrt(total / num_windows) for total in sums]
        mean = sum(np.sum(values, dtype=np.float64) for values in rms) / sum(map(np.size, rms))
        if not 0 < mean < math.inf:
            raise ValueError(
                "The gradients on the training text must be finite and not all zero. Received: a "
                f"mean RMS of {mean}. The model's weights are corrupt, or its training diverged."
            )
        self.statistics.update(rms=rms, mean=float(mean))
        return num_windows

    @contextlib.contextmanager
    def adapting(self):
        """Lets the model learn within the `with` block, then restores its weights exactly.

        Yields:
            A function of `(inputs, targets, states)`, which returns
            `(log_probabilities, logits, hidden, states)` and then updates the weights.

        Raises:
            ValueError: If called before `collect_statistics`.
        """
        if not self.statistics:
            raise ValueError(
                "DynamicEvaluation needs gradient statistics of the training text. Call "
                "collect_statistics(token_ids) first."
            )
        rms, mean, settings = self.statistics["rms"], self.statistics["mean"], self.settings
        rates = [settings["learning_rate"] / (values + settings["epsilon"]) for values in rms]
        decays = [tf.minimum(settings["decay_rate"] / mean * values, 1) for values in rms]
        variables = self.model.trainable_variables
        trained = [tf.identity(tf.convert_to_tensor(variable)) for variable in variables]
        try:
            yield lambda *window: self._adapt(*window, trained, rates, decays)
        finally:
            for variable, value in zip(variables, trained, strict=True):
                variable.assign(value)

    def _window_gradients(self, inputs, targets, states):
        with tf.GradientTape() as tape:
            _, outputs, states = self.model.backbone(inputs, states, training=False)
            total, num_tokens = self.model.decoder.loss(outputs, targets)
            loss = total / num_tokens
        gradients = tape.gradient(loss, self.model.trainable_variables)
        # The gradient of an untied embedding is an IndexedSlices.
        return [tf.convert_to_tensor(gradient) for gradient in gradients], states

    def _adapt_to_window(self, inputs, targets, states, trained, rates, decays):
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            results = predict_window(self.model, inputs, targets, states)
            loss = -tf.reduce_mean(results[0])
        gradients = tape.gradient(loss, variables)
        for variable, gradient, anchor, rate, decay in zip(
            variables, gradients, trained, rates, decays, strict=True
        ):
            weights, gradient = tf.convert_to_tensor(variable), tf.convert_to_tensor(gradient)
            variable.assign(weights + decay * (anchor - weights) - rate * gradient)
        return results
