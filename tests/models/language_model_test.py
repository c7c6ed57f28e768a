"""Tests of the language model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.metrics import Perplexity
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import (
    assert_close,
    assert_equal,
    check_config,
    dtype_policy,
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


def make_model(rate=0.0, **options):
    """A small model with one rate for every dropout."""
    arguments = {
        "embedding_dim": EMBEDDING_DIM,
        "hidden_dim": HIDDEN_DIM,
        "num_layers": 2,
        "seed": 1,
        **dict.fromkeys(RATES, rate),
        **options,
    }
    return AWDLSTMLanguageModel(VOCABULARY, **arguments)


class TestParameters:
    @pytest.mark.parametrize(
        "vocabulary_size,options,count",
        [
            (10_000, {}, 24_210_800),
            (33_278, {}, 33_545_278),
            (10_000, {"embedding_dim": 1150}, 43_263_800),
            (33_278, {"embedding_dim": 1150}, 70_056_778),
        ],
    )
    def test_the_papers_models(self, vocabulary_size, options, count):
        model = AWDLSTMLanguageModel(vocabulary_size, **options)
        model(np.zeros((1, 1), "int32"))
        assert model.count_params() == count
        assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == count

    def test_tied(self):
        model = make_model()
        model(IDS)
        assert model.decoder.embedding is model.backbone.embedding
        assert [layer.units for layer in model.backbone.lstm_layers] == [HIDDEN_DIM, EMBEDDING_DIM]
        backbone = model.backbone.count_params()
        assert model.count_params() == backbone + VOCABULARY
        assert_equal(model.decoder.bias, np.zeros(VOCABULARY))

    def test_untied(self):
        model = make_model(tie_weights=False)
        logits, states = model(IDS)
        assert [layer.units for layer in model.backbone.lstm_layers] == [HIDDEN_DIM, HIDDEN_DIM]
        assert logits.shape == (BATCH, TIME, VOCABULARY)
        assert states[-1][0].shape == (BATCH, HIDDEN_DIM)
        backbone = model.backbone.count_params()
        assert model.count_params() == backbone + VOCABULARY * (HIDDEN_DIM + 1)

    def test_refuses_rates(self):
        for name in RATES:
            with pytest.raises(ValueError, match=f"{name}|rate"):
                make_model(**{name: 1.0})


class TestCall:
    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
    @pytest.mark.parametrize("training", [False, True])
    def test_contract(self, policy, training):
        with dtype_policy(policy):
            model = make_model(0.3)
        logits, states = model(IDS, training=training, seed=seed_tensor())
        assert logits.shape == (BATCH, TIME, VOCABULARY)
        assert logits.dtype == "float32"
        assert isinstance(states, list) and len(states) == 2
        for state, units in zip(states, (HIDDEN_DIM, EMBEDDING_DIM), strict=True):
            assert isinstance(state, list) and len(state) == 2
            for value in state:
                assert value.shape == (BATCH, units) and value.dtype == "float32"
        logits, states = model(IDS, states=states, training=training)
        assert np.all(np.isfinite(logits))
        assert all(x.dtype == "float32" for state in states for x in state)

    def test_initial_state(self):
        model = make_model()
        states = model.initial_state(BATCH)
        assert [[x.shape for x in state] for state in states] == [
            [(BATCH, HIDDEN_DIM)] * 2,
            [(BATCH, EMBEDDING_DIM)] * 2,
        ]
        assert all(x.dtype == "float32" for state in states for x in state)
        for one, other in zip(
            keras.tree.flatten(model(IDS, states=states)),
            keras.tree.flatten(model(IDS)),
            strict=True,
        ):
            assert_equal(one, other)

    def test_logits_come_from_dropped_outputs_and_the_whole_matrix(self):
        model = make_model(0.5)
        model.decoder.bias.assign(np.random.default_rng(3).normal(size=(VOCABULARY,)))
        seed = seed_tensor()
        _, dropped, _ = model.backbone(IDS, training=True, seed=seed)
        logits, _ = model(IDS, training=True, seed=seed)
        table = model.backbone.embedding.embeddings.numpy()
        assert np.any(to_numpy(dropped) == 0.0)
        assert_close(logits, to_numpy(dropped) @ table.T + model.decoder.bias.numpy(), 1e-5)

    def test_windows_with_carried_states_equal_one_sequence(self):
        model = make_model()
        whole, expected = model(IDS)
        first, states = model(IDS[:, :2])
        second, states = model(IDS[:, 2:], states=states)
        assert_close(tf.concat([first, second], axis=1), whole, 1e-5)
        assert_close(states[0][1], expected[0][1], 1e-5)

    def test_seed_decides(self):
        model = make_model(0.5)
        first, _ = model(IDS, training=True, seed=seed_tensor(1, 2))
        assert_equal(model(IDS, training=True, seed=seed_tensor(1, 2))[0], first)
        other, _ = model(IDS, training=True, seed=seed_tensor(1, 3))
        assert np.any(to_numpy(other) != to_numpy(first))
        unseeded = [to_numpy(model(IDS, training=True)[0]) for _ in range(2)]
        assert np.any(unseeded[0] != unseeded[1])

    def test_inference_is_deterministic(self):
        model = make_model(0.5)
        first, _ = model(IDS, training=False)
        assert_equal(model(IDS)[0], first)
        assert_equal(model(IDS, training=False, seed=seed_tensor())[0], first)

    @pytest.mark.parametrize("tie_weights", [True, False])
    def test_every_variable_gets_a_gradient(self, tie_weights):
        model = make_model(0.3, tie_weights=tie_weights)
        with tf.GradientTape() as tape:
            logits, _ = model(IDS, training=True, seed=seed_tensor())
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(np.roll(IDS, -1, axis=1), logits)
            )
        values = [variable.value for variable in model.trainable_variables]
        for variable, gradient in zip(values, tape.gradient(loss, values), strict=True):
            gradient = to_numpy(gradient)
            assert gradient.shape == variable.shape
            assert np.all(np.isfinite(gradient)) and np.any(gradient != 0.0)

    def test_windows_of_any_length_and_batch_trace_once(self):
        model, traces = make_model(0.5), []

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None), "int32"),
                [[tf.TensorSpec((None, n))] * 2 for n in (HIDDEN_DIM, EMBEDDING_DIM)],
                tf.TensorSpec((2,), "int32"),
            ]
        )
        def call(ids, states, seed):
            traces.append(1)
            return model(ids, states=states, training=True, seed=seed)

        for batch, time in ((1, 1), (3, 5), (2, 4)):
            ids, states = IDS[:batch, :time], model.initial_state(batch)
            actual = call(ids, states, seed_tensor())
            expected = model(ids, states=states, training=True, seed=seed_tensor())
            for one, other in zip(
                keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True
            ):
                assert_close(one, other, 1e-5)
        assert len(traces) == 1


class TestSaving:
    def test_config(self):
        config = check_config(make_model(0.25, tie_weights=False, name="mine")).get_config()
        assert config["vocabulary_size"] == VOCABULARY and config["num_layers"] == 2
        assert config["tie_weights"] is False and config["name"] == "mine"
        assert all(config[name] == 0.25 for name in RATES)

    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
    @pytest.mark.parametrize("tie_weights", [True, False])
    def test_save_and_load(self, policy, tie_weights):
        with dtype_policy(policy):
            model = make_model(0.3, tie_weights=tie_weights)
        model.decoder.bias.assign(np.random.default_rng(3).normal(size=(VOCABULARY,)))
        expected = model(IDS)
        # The file says the policy; the program that loads it may have another.
        revived = save_and_load(model)
        assert isinstance(revived, AWDLSTMLanguageModel)
        assert revived.count_params() == model.count_params()
        tied = revived.decoder.embedding is revived.backbone.embedding
        assert tied is tie_weights
        for one, other in zip(
            keras.tree.flatten(revived(IDS)), keras.tree.flatten(expected), strict=True
        ):
            assert_equal(one, other)

    def test_weights_only(self, tmp_path):
        model, other = make_model(seed=1), make_model(seed=2)
        assert np.any(to_numpy(model(IDS)[0]) != to_numpy(other(IDS)[0]))
        model.save_weights(tmp_path / "model.weights.h5")
        other.load_weights(tmp_path / "model.weights.h5")
        assert_equal(other(IDS)[0], model(IDS)[0])


class TestInKeras:
    """As any Keras model: with a loss, on independent sequences."""

    def compiled(self, **options):
        model = make_model(0.1, **options)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=[Perplexity(from_logits=True)])
        return model

    def test_fit_evaluate_predict(self):
        model = self.compiled()
        before = [weight.numpy() for weight in model.trainable_variables]
        targets = np.roll(IDS, -1, axis=1)
        history = model.fit(IDS, targets, epochs=2, verbose=0, validation_data=(IDS, targets))
        for variable, value in zip(model.trainable_variables, before, strict=True):
            assert np.any(variable.numpy() != value)
        assert set(history.history) == {"loss", "perplexity", "val_loss", "val_perplexity"}
        loss, perplexity = model.evaluate(IDS, targets, verbose=0)
        assert perplexity == pytest.approx(np.exp(loss), rel=1e-5)
        logits = model.predict(IDS, batch_size=2, verbose=0)
        assert_close(logits, model(IDS)[0], 1e-5)

    def test_file_keeps_the_compilation(self):
        model = self.compiled()
        targets = np.roll(IDS, -1, axis=1)
        model.fit(IDS, targets, verbose=0)
        revived = save_and_load(model)
        expected = model.evaluate(IDS, targets, verbose=0)
        assert revived.evaluate(IDS, targets, verbose=0) == pytest.approx(expected)

    def test_export(self, tmp_path):
        model = make_model()
        expected, _ = model(IDS)
        model.export(tmp_path, verbose=False)
        exported = tf.saved_model.load(tmp_path)
        logits = exported.serve(tf.constant(IDS[:, :4]))
        assert_close(logits, expected[:, :4], 1e-5)

    def test_clone_is_tied(self):
        model = make_model()
        clone = keras.models.clone_model(model)
        assert clone.count_params() == model.count_params()
        assert clone.decoder.embedding is clone.backbone.embedding

    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
    def test_ids_as_floats(self, policy):
        with dtype_policy(policy):
            model = AWDLSTMLanguageModel(1100, embedding_dim=4, hidden_dim=4, num_layers=1)
        ids = np.array([[257, 1001, 1099]])
        expected, _ = model(ids)
        assert_equal(model(ids.astype("float32"))[0], expected)
        inputs = keras.Input((None,))
        functional = keras.Model(inputs, model(inputs)[0])
        assert_equal(functional(ids.astype("float32")), expected)

    def test_quantizes_tied(self):
        model = make_model()
        expected, _ = model(IDS)
        model.quantize("int8")
        assert_close(model(IDS)[0], expected, 0.05)


class TestLearning:
    def test_memorizes_a_cycle(self):
        model = make_model(0.05, embedding_dim=12, hidden_dim=12)
        optimizer = keras.optimizers.Adam(0.03)
        variables = model.trainable_variables
        optimizer.build(variables)
        ids = tf.constant(np.tile(np.arange(6), (4, 3)).astype("int32"))

        @tf.function
        def step(seed):
            with tf.GradientTape() as tape:
                logits, _ = model(ids[:, :-1], training=True, seed=seed)
                nats = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], logits)
                loss = tf.reduce_mean(nats)
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
            return loss

        losses = [float(step(seed_tensor(0, index))) for index in range(200)]
        assert losses[0] > 3.0
        # Guessing among the six words is 1.79; how long the plateau there lasts is the masks' luck.
        assert np.mean(losses[-10:]) < 0.8
