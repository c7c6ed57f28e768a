"""Dynamic evaluation: its statistics and updates by hand, and that it leaves no trace."""

import math

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import batchify
from awd_keras.evaluation import DynamicEvaluation, evaluate
from tests.evaluation.tiny import make_model, make_text, weights_of
from tests.test_case import assert_close, assert_equal, dtype_policy, floatx


def loss_and_gradients(model, inputs, targets, states):
    """The mean loss of a window, its gradients as arrays, and the states after it."""
    with tf.GradientTape() as tape:
        logits, states = model(inputs, states)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    return -losses.numpy(), [tf.convert_to_tensor(g).numpy() for g in gradients], states


def root_mean_squares(model, text, batch_size, bptt):
    columns = batchify(text, batch_size)
    states, squares, windows = model.initial_state(batch_size), 0, 0
    for start in range(0, columns.shape[1] - 1, bptt):
        end = min(start + bptt, columns.shape[1] - 1)
        part = columns[:, start:end], columns[:, start + 1 : end + 1]
        _, gradients, states = loss_and_gradients(model, *part, states)
        squares = squares + np.array([gradient**2 for gradient in gradients], dtype=object)
        windows += 1
    return [np.sqrt(np.asarray(values, "float64") / windows) for values in squares]


def in_segments(text, bptt):
    """Inputs and targets of each segment, (1, up to bptt)."""
    for start in range(0, len(text) - 1, bptt):
        end = min(start + bptt, len(text) - 1)
        yield tf.constant(text[None, start:end]), tf.constant(text[None, start + 1 : end + 1])


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def exact(request):
    """A dynamic evaluation in float64, with statistics of 8 windows of 3 columns."""
    with floatx("float64"):
        dynamic_evaluation = DynamicEvaluation(make_model(tie_weights=request.param), bptt=4)
        seen = []
        count = dynamic_evaluation.collect_statistics(
            make_text(101), batch_size=3, on_window=lambda *progress: seen.append(progress)
        )
    # 33 tokens a column, 32 to predict.
    assert count == 8
    assert seen == [(number, 8) for number in range(1, 9)]
    return dynamic_evaluation


@pytest.fixture(scope="module")
def trained():
    """A dynamic evaluation in float32, with statistics. Nobody may change its model's weights."""
    dynamic_evaluation = DynamicEvaluation(make_model(), learning_rate=0.05)
    dynamic_evaluation.collect_statistics(make_text(200), batch_size=4)
    before = weights_of(dynamic_evaluation.model)
    yield dynamic_evaluation
    for value, expected in zip(weights_of(dynamic_evaluation.model), before, strict=True):
        assert_equal(value, expected)


def test_statistics_by_hand(exact):
    with floatx("float64"):
        expected = root_mean_squares(exact.model, make_text(101), 3, 4)
    for actual, values in zip(exact.root_mean_squares, expected, strict=True):
        assert_close(actual, values, 1e-10)


def test_statistics_of_some_windows_and_of_a_short_text(trained):
    model = trained.model
    dynamic_evaluation = DynamicEvaluation(model, bptt=4)
    text = make_text(100)
    assert dynamic_evaluation.collect_statistics(text, batch_size=2, max_windows=3) == 3
    columns = batchify(text, 2)[:, :13]
    expected = root_mean_squares(model, columns.reshape(-1), 2, 4)
    for actual, values in zip(dynamic_evaluation.root_mean_squares, expected, strict=True):
        assert_close(actual, values, 1e-5)
    # 100 columns of one token would be no text: 20 columns of five, which is one window.
    assert dynamic_evaluation.collect_statistics(text, batch_size=100) == 1
    assert dynamic_evaluation.collect_statistics([1, 2], batch_size=100) == 1
    with pytest.raises(ValueError, match="too short"):
        dynamic_evaluation.collect_statistics([1])


@pytest.mark.parametrize("decay_rate", [0.0, 0.02, 5.0])
def test_updates_by_hand(exact, decay_rate):
    learning_rate, epsilon, bptt = 0.03, 0.01, 3
    with floatx("float64"):
        dynamic_evaluation = exact.replace(
            learning_rate=learning_rate, decay_rate=decay_rate, epsilon=epsilon, bptt=bptt
        )
        model = exact.model
        variables = model.trainable_variables
        weights_before = [variable.numpy() for variable in variables]
        text = make_text(12)
        rms = [values.numpy() for values in dynamic_evaluation.root_mean_squares]
        mean = sum(values.sum() for values in rms) / sum(values.size for values in rms)
        clipped = [decay_rate * values / mean > 1 for values in rms]

        # By hand: the model's weights are set to what NumPy computed.
        weights, states, scores = weights_before, model.initial_state(1), []
        for inputs, targets in in_segments(text, bptt):
            for variable, value in zip(variables, weights):
                variable.assign(value)
            score, gradients, states = loss_and_gradients(model, inputs, targets, states)
            scores.append(score)
            weights = [
                w
                - learning_rate * g / (r + epsilon)
                + np.minimum(1, decay_rate * r / mean) * (w0 - w)
                for w, g, r, w0 in zip(weights, gradients, rms, weights_before)
            ]
        for variable, value in zip(variables, weights_before):
            variable.assign(value)

        states = model.initial_state(1)
        with dynamic_evaluation.adapting() as step:
            for score, (inputs, targets) in zip(scores, in_segments(text, bptt), strict=True):
                log_probabilities, _, _, states = step(inputs, targets, states)
                assert_close(log_probabilities, score, 1e-9, "predictions")
            for variable, value, before in zip(variables, weights, weights_before):
                assert_close(variable, value, 1e-9, variable.path)
                assert np.max(np.abs(value - before)) > 1e-4
    # Each rate is tried: no decay, none clipped, some clipped.
    number = sum(np.count_nonzero(values) for values in clipped)
    assert (number > 0) == (decay_rate == 5.0)


def test_each_segment_is_predicted_before_it_is_learned(trained):
    model = trained.model
    text = make_text(21, seed=3)
    (first, second) = in_segments(text, 10)
    static, _, states = loss_and_gradients(model, *first, model.initial_state(1))
    unlearned, _, _ = loss_and_gradients(model, *second, states)
    with trained.adapting() as step:
        now, _, _, states = step(*first, model.initial_state(1))
        later, _, _, _ = step(*second, states)
    assert_close(now, static, 1e-5)
    assert np.max(np.abs(later - unlearned)) > 0.01


def read(dynamic_evaluation, text, bptt=5):
    """Log-probabilities of a text."""
    states, found = dynamic_evaluation.model.initial_state(1), []
    with dynamic_evaluation.adapting() as step:
        for inputs, targets in in_segments(text, bptt):
            log_probabilities, _, _, states = step(inputs, targets, states)
            found.append(log_probabilities.numpy())
    return np.concatenate(found, axis=1)


def test_learns_a_repetitive_text(trained):
    text = np.tile(np.array([3, 1, 4, 5, 9, 2, 6], np.int32), 30)
    static = evaluate(trained.model, text, batch_size=1)
    assert -np.mean(read(trained, text)) < 0.7 * static.loss


def test_starts_from_the_trained_weights_each_time(trained):
    text = make_text(24)
    assert_equal(read(trained, text), read(trained, text))
    # The last segment is shorter than the others, and needs no graph of its own.
    assert trained._step.experimental_get_tracing_count() == 1


def fail_in_the_middle(dynamic_evaluation, error):
    states = dynamic_evaluation.model.initial_state(1)
    before = weights_of(dynamic_evaluation.model)
    with dynamic_evaluation.adapting() as step:
        for inputs, targets in in_segments(make_text(14), 5):
            log_probabilities, _, _, states = step(inputs, targets, states)
        assert log_probabilities.dtype == tf.float32
        for variable, value in zip(dynamic_evaluation.model.weights, before, strict=True):
            assert np.any(variable.numpy() != value)
        if error is not None:
            raise error


def check_the_weights_are_as_before(dynamic_evaluation):
    before = weights_of(dynamic_evaluation.model)
    fail_in_the_middle(dynamic_evaluation, None)
    for error in (RuntimeError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            fail_in_the_middle(dynamic_evaluation, error)
        for value, expected in zip(weights_of(dynamic_evaluation.model), before, strict=True):
            assert value.tobytes() == expected.tobytes()


def test_the_weights_are_as_before(trained):
    check_the_weights_are_as_before(trained)


def test_the_weights_are_as_before_with_bfloat16_products():
    with dtype_policy("mixed_bfloat16"):
        dynamic_evaluation = DynamicEvaluation(make_model(), learning_rate=0.1)
        dynamic_evaluation.collect_statistics(make_text(60), batch_size=4)
        check_the_weights_are_as_before(dynamic_evaluation)


def test_other_settings_share_the_statistics(trained):
    first = DynamicEvaluation(trained.model)
    second = first.replace(learning_rate=0.3, bptt=2)
    assert second.settings == {"learning_rate": 0.3, "decay_rate": 2e-3, "epsilon": 2e-5, "bptt": 2}
    assert first.settings["learning_rate"] == 5e-5 and first.settings["bptt"] == 5
    first.collect_statistics(make_text(60), batch_size=4)
    for values, others in zip(second.root_mean_squares, first.root_mean_squares, strict=True):
        assert np.any(values.numpy())
        assert_equal(values, others)
    with pytest.raises(ValueError, match="`learning_rate` must be"):
        first.replace(learning_rate=-1)


def test_needs_statistics(trained):
    with pytest.raises(ValueError, match="call collect_statistics"):
        with DynamicEvaluation(trained.model).adapting():
            pass


def test_a_damaged_model_has_no_statistics():
    model = make_model(num_layers=1)
    dynamic_evaluation = DynamicEvaluation(model)
    dynamic_evaluation.collect_statistics(make_text(60), batch_size=4)
    model.decoder.bias.assign(np.full(model.decoder.bias.shape, np.nan, "float32"))
    with pytest.raises(ValueError, match="must be finite.*Received: a mean RMS of nan"):
        dynamic_evaluation.collect_statistics(make_text(60), batch_size=4)
    assert dynamic_evaluation.root_mean_squares is None


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"learning_rate": -1e-4}, "`learning_rate` must be a finite number, at least 0"),
        ({"learning_rate": math.nan}, "`learning_rate` must be"),
        ({"learning_rate": True}, "`learning_rate` must be"),
        ({"decay_rate": math.inf}, "`decay_rate` must be a finite number.* decay_rate=inf"),
        ({"epsilon": 0.0}, "`epsilon` must be a finite number above 0"),
        ({"bptt": 0}, "`bptt` must be a positive integer. Received: bptt=0"),
        ({"bptt": 5.0}, "`bptt` must be a positive integer"),
    ],
)
def test_settings_out_of_range(trained, settings, message):
    with pytest.raises(ValueError, match=message):
        DynamicEvaluation(trained.model, **settings)
