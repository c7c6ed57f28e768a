"""Tests of dynamic evaluation: statistics and updates by hand, and that it leaves no trace."""

import math

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import batchify
from awd_keras.evaluation import DynamicEvaluation, evaluate
from awd_keras.layers import TiedDecoder
from tests.evaluation.tiny import make_model, make_text, weights_of
from tests.test_case import assert_all_close, assert_close, assert_equal, dtype_policy, floatx


def loss_and_gradients(model, inputs, targets, states):
    """Returns the log-probabilities of a window, the gradients of its mean loss, and the states."""
    with tf.GradientTape() as tape:
        logits, states = model(inputs, states)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    return -losses.numpy(), [tf.convert_to_tensor(g).numpy() for g in gradients], states


def segments(columns, bptt):
    """Yields the inputs and targets of each segment."""
    for start in range(0, columns.shape[1] - 1, bptt):
        end = min(start + bptt, columns.shape[1] - 1)
        yield tf.constant(columns[:, start:end]), tf.constant(columns[:, start + 1 : end + 1])


def root_mean_squares(model, columns, bptt):
    states, squares = model.initial_state(len(columns)), []
    for inputs, targets in segments(columns, bptt):
        _, gradients, states = loss_and_gradients(model, inputs, targets, states)
        squares.append([gradient.astype("float64") ** 2 for gradient in gradients])
    return [np.sqrt(np.mean(values, axis=0)) for values in zip(*squares)]


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def exact(request):
    """A dynamic evaluation in float64, with statistics of 8 windows of 3 columns."""
    with floatx("float64"):
        dynamic_evaluation = DynamicEvaluation(make_model(tie_weights=request.param), bptt=4)
        calls = []
        num_windows = dynamic_evaluation.collect_statistics(
            make_text(101), batch_size=3, on_window=lambda *call: calls.append(call)
        )
    assert num_windows == 8
    assert calls == [(number, 8) for number in range(1, 9)]
    return dynamic_evaluation


@pytest.fixture(scope="module")
def trained():
    """A dynamic evaluation in float32, with statistics."""
    dynamic_evaluation = DynamicEvaluation(make_model(), learning_rate=0.05)
    dynamic_evaluation.collect_statistics(make_text(200), batch_size=4)
    return dynamic_evaluation


def test_statistics(exact):
    with floatx("float64"):
        expected = root_mean_squares(exact.model, batchify(make_text(101), 3), 4)
    assert_all_close(exact.statistics["rms"], expected, 1e-10)


def test_statistics_of_some_windows_and_of_a_short_text(trained):
    dynamic_evaluation = DynamicEvaluation(trained.model, bptt=4)
    text = make_text(100)
    assert dynamic_evaluation.collect_statistics(text, batch_size=2, max_windows=3) == 3
    expected = root_mean_squares(trained.model, batchify(text, 2)[:, :13], 4)
    assert_all_close(dynamic_evaluation.statistics["rms"], expected, 1e-5)
    # 100 columns would have one token each, so there are 20 columns of 5 tokens: one window.
    assert dynamic_evaluation.collect_statistics(text, batch_size=100) == 1


def test_statistics_never_store_all_logits(monkeypatch):
    dynamic_evaluation = DynamicEvaluation(make_model())
    monkeypatch.setattr(TiedDecoder, "call", None)
    assert dynamic_evaluation.collect_statistics(make_text(60), batch_size=4) == 3


@pytest.mark.parametrize("decay_rate", [0.0, 0.02, 5.0])
def test_updates(exact, decay_rate):
    learning_rate, epsilon, bptt = 0.03, 0.01, 3
    with floatx("float64"):
        dynamic_evaluation = exact.replace(
            learning_rate=learning_rate, decay_rate=decay_rate, epsilon=epsilon, bptt=bptt
        )
        model = exact.model
        variables = model.trainable_variables
        trained = [variable.numpy() for variable in variables]
        text = make_text(12)[np.newaxis]
        rms = [values.numpy() for values in dynamic_evaluation.statistics["rms"]]
        mean = sum(values.sum() for values in rms) / sum(values.size for values in rms)
        # The rates cover: no decay, none clipped, some clipped.
        assert any(np.any(decay_rate * values > mean) for values in rms) == (decay_rate == 5.0)

        weights, states, expected = trained, model.initial_state(1), []
        for inputs, targets in segments(text, bptt):
            for variable, value in zip(variables, weights, strict=True):
                variable.assign(value)
            predicted, gradients, states = loss_and_gradients(model, inputs, targets, states)
            expected.append(predicted)
            weights = [
                w
                - learning_rate * g / (r + epsilon)
                + np.minimum(1, decay_rate * r / mean) * (w0 - w)
                for w, g, r, w0 in zip(weights, gradients, rms, trained, strict=True)
            ]
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)

        states = model.initial_state(1)
        with dynamic_evaluation.adapting() as step:
            for predicted, (inputs, targets) in zip(expected, segments(text, bptt), strict=True):
                log_probabilities, _, _, states = step(inputs, targets, states)
                assert_close(log_probabilities, predicted, 1e-9, "predictions")
            for variable, value, before in zip(variables, weights, trained, strict=True):
                assert_close(variable, value, 1e-9, variable.path)
                assert np.max(np.abs(value - before)) > 1e-4


def read(dynamic_evaluation, text, error=None):
    """Returns the log-probabilities of a text; raises the error, if any, at its end."""
    states, pieces = dynamic_evaluation.model.initial_state(1), []
    with dynamic_evaluation.adapting() as step:
        for inputs, targets in segments(text[np.newaxis], dynamic_evaluation.bptt):
            log_probabilities, _, _, states = step(inputs, targets, states)
            pieces.append(log_probabilities.numpy())
        if error is not None:
            raise error
    return np.concatenate(pieces, axis=1)


def test_learns_a_repetitive_text(trained):
    text = np.tile(np.array([3, 1, 4, 5, 9, 2, 6], np.int32), 30)
    static = evaluate(trained.model, text, batch_size=1)
    assert -np.mean(read(trained, text)) < 0.7 * static.loss


def test_starts_from_the_trained_weights_each_time(trained):
    text = make_text(24)
    assert_equal(read(trained, text), read(trained, text))
    # The last segment is shorter.
    assert trained._adapt.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_weights_are_restored(policy):
    with dtype_policy(policy):
        dynamic_evaluation = DynamicEvaluation(make_model(), learning_rate=0.1)
        dynamic_evaluation.collect_statistics(make_text(60), batch_size=4)
        model, text = dynamic_evaluation.model, make_text(14)
        before = weights_of(model)
        assert read(dynamic_evaluation, text).dtype == np.float32
        assert weights_of(model) == before
        for error in (RuntimeError, KeyboardInterrupt):
            with pytest.raises(error):
                read(dynamic_evaluation, text, error)
            assert weights_of(model) == before


def test_replace_shares_the_statistics(trained):
    first = DynamicEvaluation(trained.model)
    second = first.replace(learning_rate=0.3, bptt=2)
    assert second.settings == {"learning_rate": 0.3, "decay_rate": 2e-3, "epsilon": 2e-5, "bptt": 2}
    assert first.settings["learning_rate"] == 5e-5 and first.bptt == 5
    first.collect_statistics(make_text(60), batch_size=4)
    assert second.statistics is first.statistics and first.statistics["mean"] > 0


def test_needs_statistics(trained):
    with pytest.raises(ValueError, match="Call collect_statistics"):
        with DynamicEvaluation(trained.model).adapting():
            pass


def test_damaged_model():
    model = make_model()
    dynamic_evaluation = DynamicEvaluation(model)
    dynamic_evaluation.collect_statistics(make_text(60), batch_size=4)
    model.decoder.bias.assign(np.full(model.decoder.bias.shape, np.nan, "float32"))
    with pytest.raises(ValueError, match="must be finite.*Received: a mean RMS of nan"):
        dynamic_evaluation.collect_statistics(make_text(60), batch_size=4)
    assert not dynamic_evaluation.statistics


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"learning_rate": -1e-4}, "`learning_rate` must be finite and >= 0"),
        ({"decay_rate": math.nan}, "Received: decay_rate=nan"),
        ({"epsilon": math.inf}, "`epsilon` must be"),
        ({"epsilon": 0.0}, "`epsilon` must be > 0. Received: epsilon=0.0"),
        ({"bptt": 0}, "`bptt` must be > 0. Received: bptt=0"),
    ],
)
def test_settings_out_of_range(trained, settings, message):
    with pytest.raises(ValueError, match=message):
        trained.replace(**settings)
