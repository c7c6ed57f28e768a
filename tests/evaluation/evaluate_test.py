"""Tests of the evaluation: exact counts, and the loss of a plain computation."""

import json
import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.evaluation import EvaluationResult, Evaluator, evaluate
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import assert_close, plain_lstm

WORDS = 13
MODULE = sys.modules[EvaluationResult.__module__]


@pytest.fixture(scope="module")
def model():
    model = AWDLSTMLanguageModel(WORDS, embedding_dim=5, hidden_dim=7, num_layers=2, seed=1)
    # A model as it is at first says nearly nothing: larger weights tell words apart.
    for index, variable in enumerate(model.weights):
        noise = np.random.default_rng(index).normal(size=variable.shape)
        variable.assign(variable + 0.7 * noise.astype(np.float32))
    return model


@pytest.fixture(scope="module")
def evaluator(model):
    return Evaluator(model)


def make_text(num_tokens, seed=0):
    return np.random.default_rng(seed).integers(WORDS, size=num_tokens).astype(np.int32)


def plain_loss(model, text, batch_size):
    """Total nats in float64: columns read from end to end in one piece."""
    length = len(text) // batch_size
    columns = text[: length * batch_size].reshape(batch_size, length)
    x = tf.gather(model.backbone.embedding.embeddings.numpy().astype(np.float64), columns[:, :-1])
    for layer in model.backbone.lstm_layers:
        weights = [weight.numpy().astype(np.float64) for weight in layer.weights]
        zeros = tf.zeros((batch_size, layer.units), tf.float64)
        x, _, _ = plain_lstm(x, zeros, zeros, *weights)
    decoder = model.decoder
    logits = x.numpy() @ decoder.matrix.numpy().astype(np.float64).T + decoder.bias.numpy()
    logits -= logits.max(axis=-1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    targets = columns[:, 1:, np.newaxis]
    return -np.take_along_axis(log_probabilities, targets, axis=-1).sum()


class TestEvaluate:
    @pytest.mark.parametrize(("num_tokens", "batch_size"), [(101, 1), (103, 4), (90, 10), (20, 10)])
    def test_counts_and_loss_are_exact(self, model, evaluator, num_tokens, batch_size):
        text = make_text(num_tokens)
        result = evaluator.evaluate(text, batch_size)
        assert result.num_tokens == (num_tokens // batch_size - 1) * batch_size
        assert_close(result.total_loss, plain_loss(model, text, batch_size), 2e-6, "loss")

    def test_does_not_depend_on_the_window(self, evaluator, monkeypatch):
        text = make_text(120)
        whole = evaluator.evaluate(text, batch_size=3)
        for window_tokens in (1, 6, 21, 60):
            monkeypatch.setattr(MODULE, "_WINDOW_TOKENS", window_tokens)
            result = evaluator.evaluate(text, batch_size=3)
            assert result.num_tokens == whole.num_tokens
            assert_close(result.total_loss, whole.total_loss, 1e-6, f"window {window_tokens}")

    def test_says_how_far_it_is(self, evaluator, monkeypatch):
        monkeypatch.setattr(MODULE, "_WINDOW_TOKENS", 60)
        calls = []
        result = evaluator.evaluate(make_text(153), 3, lambda *counts: calls.append(counts))
        assert calls == [(60, 150), (120, 150), (150, 150)]
        assert result == evaluator.evaluate(make_text(153), 3)

    def test_each_evaluation_starts_anew_and_changes_nothing(self, model, evaluator):
        text = make_text(80)
        before = [weight.numpy() for weight in model.weights]
        first, _, second = (evaluator.evaluate(t, 2) for t in (text, make_text(50, 1), text))
        assert first == second
        for weight, value in zip(model.weights, before):
            np.testing.assert_array_equal(weight.numpy(), value)

    def test_sees_new_weights(self, model, evaluator):
        text = make_text(60)
        before = evaluator.evaluate(text)
        bias = model.decoder.bias
        value = bias.numpy()
        bias.assign(value + np.arange(WORDS, dtype=np.float32))
        try:
            assert evaluator.evaluate(text).loss != before.loss
        finally:
            bias.assign(value)

    def test_once(self, model, evaluator):
        text = make_text(60)
        assert evaluate(model, text, 4) == evaluator.evaluate(text, 4)
        assert evaluate(model, text) == evaluator.evaluate(text, 10)

    @pytest.mark.parametrize(("num_tokens", "batch_size"), [(0, 1), (1, 1), (19, 10)])
    def test_a_text_too_short(self, evaluator, num_tokens, batch_size):
        with pytest.raises(ValueError, match=f"{num_tokens} tokens is too short"):
            evaluator.evaluate(make_text(num_tokens), batch_size)

    def test_is_traced_once_for_all_windows_and_batch_sizes(self, model, monkeypatch):
        monkeypatch.setattr(MODULE, "_WINDOW_TOKENS", 5)
        one = Evaluator(model)
        for num_tokens, batch_size in ((50, 1), (62, 1), (71, 2), (83, 10)):
            one.evaluate(make_text(num_tokens), batch_size)
        assert one._step.experimental_get_tracing_count() == 1


class TestResult:
    def test_loss_and_perplexity(self):
        result = EvaluationResult(total_loss=30.0, num_tokens=10)
        assert result.loss == 3.0
        assert result.perplexity == math.exp(3.0)
        assert json.loads(json.dumps(result.to_dict())) == {
            "loss": 3.0,
            "perplexity": math.exp(3.0),
            "num_tokens": 10,
        }

    def test_beyond_a_float(self):
        assert EvaluationResult(1e6, 10).perplexity == math.inf
        assert EvaluationResult(math.inf, 10).perplexity == math.inf
        assert EvaluationResult(709.5, 1).perplexity == math.inf
        assert math.isfinite(EvaluationResult(708.9, 1).perplexity)

    def test_no_number_is_no_number(self):
        assert math.isnan(EvaluationResult(math.nan, 10).perplexity)
