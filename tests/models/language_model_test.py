"""Tests of the language model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.evaluation.windows import predict_window
from awd_keras.metrics import Perplexity
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.models.train_step import window_loss
from awd_keras.ops.lstm import exporting
from tests.models.awd_lstm_test import (
    BATCH,
    EMBEDDING_DIM,
    HIDDEN_DIM,
    IDS,
    RATES,
    TIME,
    VOCABULARY,
)
from tests.test_case import (
    assert_all_equal,
    assert_close,
    assert_equal,
    check_config,
    dtype_policy,
    save_and_load,
    seed_tensor,
    to_numpy,
)


def make_model(rate=0.0, **options):
    """Makes a small model with one rate for every dropout."""
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
            (33_278, {"embedding_dim": 1150}, 70_056_778),
        ],
    )
    def test_the_papers_models(self, vocabulary_size, options, count):
        model = AWDLSTMLanguageModel(vocabulary_size, **options)
        model(np.zeros((1, 1), "int32"))
        assert model.count_params() == count
        assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == count


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

    def test_logits_come_from_dropped_outputs_and_the_whole_matrix(self):
        model = make_model(0.5)
        model.decoder.bias.assign(np.random.default_rng(3).normal(size=(VOCABULARY,)))
        seed = seed_tensor()
        _, dropped, _ = model.backbone(IDS, training=True, seed=seed)
        logits, _ = model(IDS, training=True, seed=seed)
        table = model.backbone.embedding.embeddings.numpy()
        assert np.any(to_numpy(dropped) == 0.0)
        assert_close(logits, to_numpy(dropped) @ table.T + model.decoder.bias.numpy(), 1e-5)


class TestSaving:
    def test_config(self):
        config = check_config(make_model(0.25, tie_weights=False, name="mine")).get_config()
        assert config["vocabulary_size"] == VOCABULARY and config["num_layers"] == 2
        assert config["tie_weights"] is False and config["name"] == "mine"
        assert all(config[name] == 0.25 for name in RATES)

    def test_frozen_backbone(self):
        model = make_model()
        model.backbone.trainable = False
        assert check_config(model).trainable

    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
    @pytest.mark.parametrize("tie_weights", [True, False])
    def test_save_and_load(self, policy, tie_weights):
        with dtype_policy(policy):
            model = make_model(0.3, tie_weights=tie_weights)
        model.decoder.bias.assign(np.random.default_rng(3).normal(size=(VOCABULARY,)))
        expected = model(IDS)
        # The policy comes from the file, whatever the global policy is.
        revived = save_and_load(model)
        assert isinstance(revived, AWDLSTMLanguageModel)
        assert revived.count_params() == model.count_params()
        tied = revived.decoder.embedding is revived.backbone.embedding
        assert tied is tie_weights
        assert_all_equal(revived(IDS), expected)


class TestAdaptiveSoftmax:
    CUTOFFS = (2, 5)

    def make(self, tie_weights=True):
        model = make_model(tie_weights=tie_weights, adaptive_softmax_cutoffs=self.CUTOFFS)
        generator = np.random.default_rng(3)
        for weight in model.decoder.weights:
            weight.assign(generator.normal(size=weight.shape))
        return model

    @pytest.mark.parametrize("tie_weights", [True, False])
    def test_save_and_load(self, tie_weights):
        model = self.make(tie_weights)
        revived = save_and_load(model)
        assert revived.adaptive_softmax_cutoffs == self.CUTOFFS
        assert_equal(revived(IDS)[0], model(IDS)[0])

    def test_losses_of_windows_are_those_of_the_logits(self):
        model = self.make()
        targets = np.roll(IDS, -1, axis=1).astype("int32")
        predicted = predict_window(model, IDS, targets, model.initial_state(BATCH))[0]
        total, _ = window_loss(model, IDS, targets, model.initial_state(BATCH))
        assert_close(total, -tf.reduce_sum(predicted), 1e-5)


class TestInKeras:
    """Trained with a loss on independent sequences, like any Keras model."""

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
        assert revived.evaluate(IDS, targets, verbose=0) == pytest.approx(expected, rel=1e-5)

    def test_export(self, tmp_path):
        model = make_model()
        expected, _ = model(IDS)
        model.export(tmp_path, verbose=False)
        exported = tf.saved_model.load(tmp_path)
        logits = exported.serve(tf.constant(IDS[:, :4]))
        assert_close(logits, expected[:, :4], 1e-5)

    def test_exports_portable_kernels(self, monkeypatch):
        was_exporting = []
        monkeypatch.setattr(
            keras.Model, "export", lambda *_args, **_options: was_exporting.append(exporting())
        )
        make_model().export("nowhere")
        assert was_exporting == [True]

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
