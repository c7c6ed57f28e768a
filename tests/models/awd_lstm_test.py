"""Tests of the backbone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.layers import TiedDecoder
from awd_keras.models import AWDLSTM
from awd_keras.ops import dropout_mask, fold_in
from tests.test_case import (
    assert_all_close,
    assert_all_equal,
    assert_close,
    assert_equal,
    check_config,
    save_and_load,
    seed_tensor,
    to_numpy,
)

VOCABULARY, EMBEDDING_DIM, HIDDEN_DIM = 30, 6, 8
RATES = (
    "input_dropout",
    "hidden_dropout",
    "output_dropout",
    "embedding_dropout",
    "weight_dropout",
)
BATCH, TIME = 3, 5
IDS = np.random.default_rng(0).integers(VOCABULARY, size=(BATCH, TIME)).astype("int32")


def make_model(num_layers=3, tie_weights=True, seed=1, rnn="lstm", **rates):
    """Makes a small model without dropout, except for the given rates."""
    return AWDLSTM(
        VOCABULARY,
        embedding_dim=EMBEDDING_DIM,
        hidden_dim=HIDDEN_DIM,
        num_layers=num_layers,
        tie_weights=tie_weights,
        seed=seed,
        rnn=rnn,
        **{**dict.fromkeys(RATES, 0.0), **rates},
    )


def train_call(model, seed=None, ids=IDS):
    return model(ids, training=True, seed=seed_tensor() if seed is None else seed)


class TestBasics:
    def test_config(self):
        model = make_model(2, tie_weights=False, seed=4, hidden_dropout=0.2, name="backbone")
        config = check_config(model).get_config()
        assert config["vocabulary_size"] == VOCABULARY
        assert config["embedding_dim"] == EMBEDDING_DIM and config["hidden_dim"] == HIDDEN_DIM
        assert config["num_layers"] == 2 and config["tie_weights"] is False
        assert config["hidden_dropout"] == 0.2 and config["seed"] == 4
        assert config["name"] == "backbone"

    def test_time_major_gives_the_same(self):
        model = make_model(2, **dict.fromkeys(RATES, 0.3))
        *expected, states = train_call(model)
        *actual, finals = model(
            tf.transpose(IDS), training=True, seed=seed_tensor(), time_major=True
        )
        for turned, outputs in zip(actual, expected, strict=True):
            assert_equal(tf.transpose(turned, (1, 0, 2)), outputs)
        tf.nest.map_structure(assert_equal, finals, states)

    @pytest.mark.parametrize("num_layers", [1, 2, 3])
    @pytest.mark.parametrize("tie_weights", [True, False])
    def test_shapes(self, num_layers, tie_weights):
        model = make_model(num_layers, tie_weights, output_dropout=0.5)
        raw, dropped, states = train_call(model)
        last = EMBEDDING_DIM if tie_weights else HIDDEN_DIM
        assert raw.shape == dropped.shape == (BATCH, TIME, last)
        units = [HIDDEN_DIM] * (num_layers - 1) + [last]
        assert [[x.shape for x in state] for state in states] == [[(BATCH, n)] * 2 for n in units]
        assert [layer.units for layer in model.lstm_layers] == units

    def test_initialization(self):
        model = AWDLSTM(50, embedding_dim=16, hidden_dim=36, num_layers=2)
        model(IDS)
        table = model.embedding.embeddings.numpy()
        assert 0.095 < np.max(np.abs(table)) <= 0.1
        for layer, units in zip(model.lstm_layers, (36, 16), strict=True):
            bound = 1.0 / np.sqrt(units)
            for weight in (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias):
                weight = weight.numpy()
                assert 0.9 * bound < np.max(np.abs(weight)) <= bound * (1 + 1e-6)
                assert abs(np.mean(weight)) < 0.3 * bound
            # No forget bias.
            forget = layer.cell.bias.numpy()[units : 2 * units]
            assert np.max(forget) <= bound and np.std(forget) > 0.0

    @pytest.mark.parametrize("seed", [0, 141, 2**31 - 1, 2**32 - 1])
    def test_constructor_seed_repeats_the_initial_weights(self, seed):
        one, other = make_model(seed=seed), make_model(seed=seed)
        assert_all_equal(one.get_weights(), other.get_weights())
        for first, second in zip(one.get_weights(), make_model(seed=2).get_weights(), strict=True):
            assert np.mean(first == second) < 0.1

    @pytest.mark.parametrize("name,size", [("embedding_dim", 0), ("num_layers", 1.5)])
    def test_refuses_sizes(self, name, size):
        with pytest.raises(ValueError, match=name):
            AWDLSTM(VOCABULARY, **{name: size})


class TestStates:
    def test_lengths(self):
        model = make_model()
        expected = model(IDS[:, :2])[2]
        lengths = np.full(BATCH, 2, "int32")
        assert_all_close(model(IDS, lengths=lengths)[2], expected, 1e-6)


@pytest.mark.parametrize("rnn", ["lstm", "gru", "qrnn"])
class TestCells:
    def test_states(self, rnn):
        model = make_model(rnn=rnn)
        whole, _, expected = model(IDS)
        sizes = {
            "lstm": [[8, 8], [8, 8], [6, 6]],
            "gru": [[8], [8], [6]],
            "qrnn": [[8, EMBEDDING_DIM], [8], [6]],
        }
        for states in (model.initial_state(BATCH), expected):
            assert [[x.shape[1] for x in state] for state in states] == sizes[rnn]
        first, _, states = model(IDS[:, :2])
        second, _, states = model(IDS[:, 2:], states=states)
        assert_close(tf.concat([first, second], axis=1), whole, 1e-5)
        tf.nest.map_structure(lambda a, b: assert_close(a, b, 1e-5), states, expected)

    def test_masks_follow_from_the_seed(self, rnn):
        model = make_model(rnn=rnn, weight_dropout=0.5)
        assert_equal(train_call(model)[0], train_call(model)[0])
        assert np.any(to_numpy(train_call(model)[0]) != to_numpy(model(IDS)[0]))

    def test_file(self, rnn):
        model = make_model(2, rnn=rnn)
        inputs = keras.Input((None,), dtype="int32")
        revived = save_and_load(keras.Model(inputs, model(inputs)[1]))
        assert_equal(revived(IDS), model(IDS)[1])
        assert check_config(model).rnn == rnn


def test_refuses_an_embedding_of_another_size():
    with pytest.raises(ValueError, match=r"\(30, 6\). Received: \(30, 7\)"):
        AWDLSTM(VOCABULARY, EMBEDDING_DIM, embedding=keras.layers.Embedding(VOCABULARY, 7))


def test_refuses_cells():
    with pytest.raises(ValueError, match="`rnn` must be one of lstm, gru, qrnn"):
        AWDLSTM(VOCABULARY, rnn="rnn")


class TestSeeds:
    RATES = dict.fromkeys(RATES, 0.5)

    def test_inference_is_deterministic(self):
        model = make_model(**self.RATES)
        exact = make_model()
        exact.set_weights(model.get_weights())
        expected, _, _ = exact(IDS)
        for options in ({}, {"training": False}, {"training": False, "seed": seed_tensor()}):
            raw, dropped, _ = model(IDS, **options)
            assert_equal(raw, expected)
            assert_equal(dropped, expected)

    def test_weight_masks_differ_from_layer_to_layer(self):
        model = make_model(weight_dropout=0.5)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(train_call(model)[0]))
        kernels = [layer.cell.recurrent_kernel.value for layer in model.lstm_layers[:2]]
        first, second = (to_numpy(x) == 0.0 for x in tape.gradient(loss, kernels))
        assert first.shape == second.shape
        for dropped in (first, second):
            assert abs(np.mean(dropped) - 0.5) < 0.15
        assert 0.3 < np.mean(first == second) < 0.7

    def test_locked_masks_differ_from_place_to_place(self):
        # All layers have the same width, so that their masks can be compared.
        model = AWDLSTM(
            VOCABULARY,
            embedding_dim=16,
            hidden_dim=16,
            num_layers=3,
            **{**dict.fromkeys(RATES, 0.5), "embedding_dropout": 0.0, "weight_dropout": 0.0},
        )
        masks = []
        # Record which outputs each dropout layer sets to zero.
        dropouts = [model.input_locked_dropout, *model.hidden_locked_dropouts]
        dropouts.append(model.output_locked_dropout)
        for dropout in dropouts:
            original = dropout.call

            def spy(inputs, original=original, **options):
                outputs = original(inputs, **options)
                masks.append(to_numpy(outputs == 0.0))
                return outputs

            dropout.call = spy
        train_call(model)
        assert len(masks) == 4
        for index, mask in enumerate(masks):
            assert 0.2 < np.mean(mask) < 0.8
            for other in masks[:index]:
                assert 0.2 < np.mean(mask == other) < 0.8


class TestPlaces:
    """Where each dropout acts, with all others off."""

    def test_embedding_dropout(self):
        model, plain = make_model(embedding_dropout=0.5), make_model()
        mask = dropout_mask((VOCABULARY, 1), 0.5, fold_in(seed_tensor(), 0), "float32")
        plain.embedding.embeddings.assign(plain.embedding.embeddings * mask)
        assert_close(train_call(model)[0], plain(IDS)[0], 1e-6)

    def test_input_dropout(self):
        # With rows of ones, the embedding is the mask.
        model, ones = make_model(1, input_dropout=0.5), make_model(1)
        for each in (model, ones):
            each.embedding.embeddings.assign(np.ones((VOCABULARY, EMBEDDING_DIM)))
        mask = dropout_mask((BATCH, EMBEDDING_DIM), 0.5, fold_in(seed_tensor(), 1), "float32")
        masked = tf.repeat(mask[:, tf.newaxis], TIME, axis=1)
        expected = ones.lstm_layers[0](masked)[0]
        assert_close(train_call(model)[0], expected, 1e-6)

    def test_output_dropout(self):
        model = make_model(output_dropout=0.5)
        raw, dropped, states = train_call(model)
        expected, _, expected_states = model(IDS)
        assert_close(raw, expected, 1e-6)
        mask = to_numpy(dropped) / to_numpy(raw)
        assert_close(mask, np.broadcast_to(mask[:, :1], mask.shape), 1e-6)
        assert_close(np.unique(np.round(mask, 4)), [0.0, 2.0], 1e-6)
        # The states are never dropped.
        assert_all_close(states, expected_states, 1e-6)

    def test_hidden_dropout_is_between_layers_only(self):
        single = make_model(1, hidden_dropout=0.5)
        assert_equal(train_call(single)[0], single(IDS)[0])
        model = make_model(2, hidden_dropout=0.5)
        raw, dropped, states = train_call(model)
        assert_equal(raw, dropped)
        expected, _, expected_states = model(IDS)
        assert_close(states[0][0], expected_states[0][0], 1e-6)
        assert np.any(to_numpy(states[1][0]) != to_numpy(expected_states[1][0]))
        assert np.any(to_numpy(raw) != to_numpy(expected))

    def test_weight_dropout_leaves_the_first_step(self):
        model = make_model(weight_dropout=0.5)
        raw, expected = to_numpy(train_call(model)[0]), to_numpy(model(IDS)[0])
        assert_close(raw[:, 0], expected[:, 0], 1e-6)
        for step in range(1, TIME):
            assert np.any(raw[:, step] != expected[:, step])


class TestFile:
    def test_a_decoder_stays_tied_in_a_file(self):
        backbone = make_model(2)
        inputs = keras.Input((None,), dtype="int32")
        decoder = TiedDecoder(backbone.embedding)
        model = keras.Model(inputs, decoder(backbone(inputs)[1]))
        revived = save_and_load(model)
        assert_equal(revived(IDS), model(IDS))
        assert len(revived.trainable_variables) == len(model.trainable_variables)
        assert revived.layers[-1].embedding is revived.layers[-2].embedding
