"""The network of an export against the model whose weights it copies."""

import numpy as np
import pytest
import tensorflow as tf

from serving.network import Network
from tests.serving.exported import log_probabilities_of, run
from tests.test_case import assert_close, assert_equal


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def model(request):
    return run(tie_weights=request.param)[1]


@pytest.fixture(params=[1, 12, 10_000])
def network(request, model, monkeypatch):
    """Reads so many words at once, in all rows together."""
    monkeypatch.setattr(Network, "window_words", lambda self: request.param)
    return Network(model, "float32", "float32")


def make_ids(rows, columns, size, seed=0):
    return np.random.default_rng(seed).integers(size, size=(rows, columns)).astype("int32")


def flat_state(states):
    return tf.concat(tf.nest.flatten(states), axis=1)


class TestLogProbabilities:
    def test_rows_that_end_in_every_window(self, network, model):
        inputs, targets = (make_ids(4, 11, network.vocabulary_size, seed) for seed in (0, 1))
        lengths = [11, 0, 4, 1]
        tensors = map(tf.constant, (inputs, targets, lengths))
        found = network.log_probabilities(*tensors).numpy()
        assert found.shape == (4, 11)
        for row, length in enumerate(lengths):
            after = log_probabilities_of(model, inputs[row])
            expected = after[np.arange(length), targets[row, :length]]
            np.testing.assert_allclose(found[row, :length], expected, rtol=1e-5)
            assert np.all(found[row, length:] == 0)

    @pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0)])
    def test_nothing_to_read(self, network, shape):
        none = tf.zeros(shape, tf.int32)
        found = network.log_probabilities(none, none, tf.zeros(shape[:1], tf.int32))
        assert found.shape == shape


class TestLastState:
    def test_the_state_after_each_rows_last_word(self, network, model):
        token_ids, lengths = make_ids(4, 11, network.vocabulary_size), [11, 0, 4, 1]
        state = network.last_state(tf.constant(token_ids), tf.constant(lengths))
        assert state.shape == (4, network.state_size)
        for row, length in enumerate(lengths):
            expected = flat_state(model.initial_state(1))
            if length:
                expected = flat_state(model(token_ids[row : row + 1, :length])[1])
            assert_close(state[row], expected[0], 1e-5)
        outputs = network.output_of(state)
        logits, _ = model(token_ids[:1])
        assert_close(network.logits(outputs)[0], logits[0, -1], 1e-5)


class TestStep:
    def test_one_word_after_the_other(self, network, model):
        token_ids = make_ids(3, 4, network.vocabulary_size)
        logits, states = model(token_ids)
        state = network.zero_state(3)
        assert_equal(state, np.zeros((3, network.state_size)))
        for index in range(4):
            output, state = network.step(tf.constant(token_ids[:, index]), state)
            assert_close(network.logits(output), logits[:, index], 1e-5)
        assert_close(state, flat_state(states), 1e-5)


def test_a_window_bounds_the_logits(model, monkeypatch):
    network = Network(model, "float32", "float32")
    assert network.window_words() == 2048
    for size in (33_278, 10**6, 10**9):
        network.vocabulary_size = size
        assert network.window_words() == max(1, 2**24 // size)


def test_the_model_is_copied(model):
    network = Network(model, "float32", "float32")
    assert sum(int(np.prod(v.shape)) for v in network.variables) == model.count_params()
    outputs = tf.ones_like(network.output_of(network.zero_state(1)))
    before = network.logits(outputs)
    bias = model.decoder.bias.numpy()
    model.decoder.bias.assign(bias + 1.0)
    after = network.logits(outputs)
    model.decoder.bias.assign(bias)
    assert_equal(after, before)
