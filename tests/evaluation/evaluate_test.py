"""Tests of the loss and perplexity of a text, against a plain computation."""

import json
import math
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.evaluation import EvaluationResult, Evaluator, evaluate
from tests.evaluation.tiny import WORDS, make_model, make_text, weights_of
from tests.test_case import assert_close, plain_lstm

# The function of the same name hides the module.
MODULE = sys.modules[EvaluationResult.__module__]


@pytest.fixture(scope="module")
def model():
    return make_model(num_layers=2)


@pytest.fixture(scope="module")
def evaluator(model):
    return Evaluator(model)


def plain_loss(model, text, batch_size):
    """The total loss in float64, with each column read in one piece."""
    length = len(text) // batch_size
    columns = text[: length * batch_size].reshape(batch_size, length)
    x = tf.gather(model.backbone.embedding.embeddings.numpy().astype(np.float64), columns[:, :-1])
    for layer in model.backbone.lstm_layers:
        weights = [weight.numpy().astype(np.float64) for weight in layer.weights]
        zeros = tf.zeros((batch_size, layer.units), tf.float64)
        x, _, _ = plain_lstm(x, zeros, zeros, *weights)
    decoder = model.decoder
    logits = x.numpy() @ decoder.matrix.numpy().astype(np.float64).T + decoder.bias.numpy()
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    targets = columns[:, 1:, np.newaxis]
    return -np.take_along_axis(log_probabilities, targets, axis=-1).sum()


@pytest.mark.parametrize("num_tokens, batch_size", [(101, 1), (103, 4), (20, 10)])
def test_loss_and_count(model, evaluator, num_tokens, batch_size):
    text = make_text(num_tokens)
    result = evaluator.evaluate(text, batch_size)
    assert result.num_tokens == (num_tokens // batch_size - 1) * batch_size
    assert_close(result.total_loss, plain_loss(model, text, batch_size), 2e-6)


def test_windows(evaluator, monkeypatch):
    text, calls = make_text(153), []
    whole = evaluator.evaluate(text, batch_size=3)
    monkeypatch.setattr(MODULE, "_WINDOW_TOKENS", 60)
    result = evaluator.evaluate(text, 3, lambda *counts: calls.append(counts))
    assert calls == [(60, 150), (120, 150), (150, 150)]
    assert_close(result.total_loss, whole.total_loss, 1e-6)


def test_evaluations_are_independent_and_keep_the_weights(model, evaluator):
    before = weights_of(model)
    first, _, second = (evaluator.evaluate(make_text(80, seed), 2) for seed in (0, 1, 0))
    assert first == second == evaluate(model, make_text(80), 2)
    assert weights_of(model) == before


def test_uses_the_current_weights(model, evaluator):
    text, bias = make_text(60), model.decoder.bias
    before = evaluator.evaluate(text)
    bias.assign(bias + np.arange(WORDS, dtype=np.float32))
    after = evaluator.evaluate(text)
    bias.assign(bias - np.arange(WORDS, dtype=np.float32))
    assert abs(after.loss - before.loss) > 0.01


def test_traced_once(model, monkeypatch):
    monkeypatch.setattr(MODULE, "_WINDOW_TOKENS", 5)
    evaluator = Evaluator(model)
    for num_tokens, batch_size in ((50, 1), (62, 1), (71, 2), (83, 10)):
        evaluator.evaluate(make_text(num_tokens), batch_size)
    assert evaluator._step.experimental_get_tracing_count() == 1


def test_result():
    result = EvaluationResult(total_loss=30.0, num_tokens=10)
    assert json.loads(json.dumps(result.to_dict())) == {
        "loss": 3.0,
        "perplexity": math.exp(3.0),
        "num_tokens": 10,
    }


@pytest.mark.parametrize("loss", [709.5, 1e6, math.inf])
def test_perplexity_overflows_to_infinity(loss):
    assert EvaluationResult(loss, 1).perplexity == math.inf
    assert math.isfinite(EvaluationResult(708.9, 1).perplexity)
    assert math.isnan(EvaluationResult(math.nan, 1).perplexity)


def test_constant_weights(monkeypatch):
    model, text = make_model(num_layers=2), make_text(103)
    evaluator = Evaluator(model)
    constants = mock.Mock(wraps=MODULE.constant_recurrent_weights)
    monkeypatch.setattr(MODULE, "constant_recurrent_weights", constants)
    evaluator.evaluate(text, batch_size=4)  # a short text and small layers
    assert constants.call_count == 0
    monkeypatch.setattr(MODULE, "_CONSTANT_WEIGHTS_STEPS", 24)
    monkeypatch.setattr(MODULE, "_CONSTANT_WEIGHTS_UNITS", 1)
    for _ in range(2):  # before and after a change of the weights
        result = evaluator.evaluate(text, batch_size=4)
        assert_close(result.total_loss, plain_loss(model, text, batch_size=4), 2e-6)
        for weight in model.trainable_weights:
            weight.assign(weight * 1.5)
    assert constants.call_count == 2
