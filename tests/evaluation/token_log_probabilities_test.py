import numpy as np
import tensorflow as tf

from awd_keras.evaluation.token_log_probabilities import (
    make_predict_step,
    predict_window,
    read_windows,
    window_length,
)
from tests.evaluation.tiny import make_model, make_text
from tests.test_case import assert_close, assert_equal, dtype_policy, floatx


def test_predicts_as_the_model_does():
    model = make_model(num_layers=1)
    step = make_predict_step(model)
    for batch_size, timesteps in ((2, 6), (1, 3)):
        text = make_text(batch_size * (timesteps + 1)).reshape(batch_size, timesteps + 1)
        inputs, targets = text[:, :-1], text[:, 1:]
        log_probabilities, logits, hidden, states = step(
            inputs, targets, model.initial_state(batch_size)
        )
        expected, expected_states = model(inputs)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, expected)
        assert_close(log_probabilities, -losses, 1e-5)
        assert_close(logits, expected, 1e-6)
        assert_close(hidden, model.backbone(inputs)[0], 1e-6)
        assert_close(states[0][0], expected_states[0][0], 1e-6)
    assert step.experimental_get_tracing_count() == 1


def test_dtypes():
    text = make_text(4)[np.newaxis]
    with dtype_policy("mixed_bfloat16"):
        model = make_model(num_layers=1)
        results = predict_window(model, text[:, :-1], text[:, 1:], model.initial_state(1))
        assert [x.dtype for x in results[:3]] == [tf.float32, tf.float32, tf.bfloat16]
    with floatx("float64"):
        model = make_model(num_layers=1)
        results = predict_window(model, text[:, :-1], text[:, 1:], model.initial_state(1))
        assert [x.dtype for x in results[:3]] == [tf.float64] * 3


def test_windows_carry_the_state():
    columns = np.arange(22, dtype=np.int32).reshape(2, 11)

    def step(inputs, targets, states):
        assert_equal(targets, inputs.numpy() + 1)
        return inputs, states + [inputs.shape[1]]

    windows = list(read_windows(step, columns, [], 4))
    assert_equal(np.concatenate([targets for targets, _ in windows], axis=1), columns[:, 1:])
    assert_equal(np.concatenate([inputs for _, inputs in windows], axis=1), columns[:, :-1])
    assert [targets.shape[1] for targets, _ in windows] == [4, 4, 2]
    lengths = []
    for _ in read_windows(lambda i, t, s: (lengths.append(s), s + 1), columns, 0, 5):
        pass
    assert lengths == [0, 1]


def test_window_length():
    assert window_length(1, 10_000) == 2000
    assert window_length(4000, 10_000) == 1
    # The logits of a window: 2 ** 26.
    assert window_length(1, 2**20) == 64
    assert window_length(1, 2**30) == 1
    # With a cache, not many more tokens than entries; its similarities: 2 ** 26.
    assert window_length(1, 10_000, cache_window=500) == 500
    assert window_length(5, 10_000, cache_window=500) == 100
    assert window_length(1, 10_000, cache_window=1) == 100
    assert window_length(1, 10_000, cache_window=3785) == 2000
    length = window_length(1, 10_000, cache_window=100_000)
    assert 500 < length and length * (100_000 + length) <= 2**26
