"""Tests of the dropout of whole words."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from tests.test_case import (
    assert_close,
    assert_equal,
    check_config,
    check_layer,
    save_and_load,
    seed_tensor,
    to_numpy,
)

VOCABULARY, DIM = 10, 4
IDS = np.array([[1, 2, 3, 1, 2], [2, 9, 1, 0, 9], [5, 6, 7, 8, 4]], "int32")


def make_layer(rate=0.5, vocabulary=VOCABULARY, **options):
    """A layer around a table without any zero."""
    embedding = keras.layers.Embedding(
        vocabulary, DIM, embeddings_initializer=keras.initializers.RandomUniform(0.5, 1.0, seed=1)
    )
    embedding.build()
    return layers.EmbeddingDropout(embedding, rate, **options)


class TestEmbeddingDropout:
    @pytest.mark.parametrize("rate", [0.0, 0.4])
    def test_layer(self, rate):
        check_layer(lambda: make_layer(rate, seed=1), IDS)

    def test_unbuilt_embedding_is_built(self):
        layer = layers.EmbeddingDropout(keras.layers.Embedding(VOCABULARY, DIM), 0.5)
        assert layer(IDS).shape == (*IDS.shape, DIM)
        assert layer.count_params() == VOCABULARY * DIM

    def test_config(self):
        revived = check_config(make_layer(0.3, seed=7, name="words"))
        assert isinstance(revived.embedding, keras.layers.Embedding)
        assert revived.embedding.input_dim == VOCABULARY
        assert (revived.rate, revived.name) == (0.3, "words")
        assert revived.get_config()["seed"] == 7

    def test_dropped_word_vanishes_at_all_its_places(self):
        vocabulary = 40
        layer = make_layer(0.5, vocabulary)
        ids = np.random.default_rng(0).integers(vocabulary, size=(6, 50))
        table = layer.embedding.embeddings.numpy()
        outputs = to_numpy(layer(ids, training=True, seed=seed_tensor()))
        dropped = set()
        for word in np.unique(ids):
            places = outputs[ids == word]
            if np.all(places[0] == 0.0):
                dropped.add(word)
                assert_equal(places, np.zeros_like(places))
            else:
                assert_close(places, np.broadcast_to(2.0 * table[word], places.shape), 1e-6)
        assert 8 < len(dropped) < 32

    @pytest.mark.parametrize("rate", [0.1, 0.6])
    def test_drops_at_the_rate_and_scales_survivors(self, rate):
        layer = make_layer(rate, 1000)
        outputs = to_numpy(layer(np.arange(1000)[None], training=True, seed=seed_tensor()))[0]
        dropped = np.all(outputs == 0.0, axis=-1)
        assert abs(np.mean(dropped) - rate) < 0.05
        table = layer.embedding.embeddings.numpy()
        assert_close(outputs[~dropped], table[~dropped] / (1.0 - rate), 1e-6)

    def test_exact_rows_at_inference_and_at_rate_zero(self):
        for layer, training in ((make_layer(0.5), False), (make_layer(0.0), True)):
            expected = layer.embedding.embeddings.numpy()[IDS]
            assert_equal(layer(IDS, training=training), expected)
        layer = make_layer(0.5)
        assert_equal(layer(IDS), layer.embedding.embeddings.numpy()[IDS])

    def test_table_itself_is_not_changed(self):
        layer = make_layer(0.5)
        before = layer.embedding.embeddings.numpy()
        layer(IDS, training=True)
        assert_equal(layer.embedding.embeddings, before)

    def test_gradient_only_through_kept_words(self):
        layer = make_layer(0.5)
        with tf.GradientTape() as tape:
            outputs = layer(IDS, training=True, seed=seed_tensor())
            loss = tf.reduce_sum(outputs)
        gradient = to_numpy(tape.gradient(loss, layer.embedding.embeddings.value))
        outputs, expected = to_numpy(outputs), np.zeros((VOCABULARY, DIM))
        for word, output in zip(IDS.ravel(), outputs.reshape(-1, DIM), strict=True):
            expected[word] += 2.0 * np.any(output != 0.0)
        assert np.any(expected == 0.0) and np.any(expected != 0.0)
        assert_close(gradient, expected, 1e-6)

    def test_seed_decides(self):
        layer = make_layer(0.5, 40)
        ids = np.arange(40)[None]
        first = layer(ids, training=True, seed=seed_tensor())
        assert_equal(layer(ids, training=True, seed=seed_tensor()), first)
        # The mask belongs to the words, not to their places.
        assert_equal(
            to_numpy(layer(ids[:, ::-1], training=True, seed=seed_tensor()))[:, ::-1], first
        )
        traced = tf.function(lambda seed: layer(ids, training=True, seed=seed))
        assert_equal(traced(seed_tensor()), first)
        other = layer(ids, training=True, seed=seed_tensor(1, 3))
        assert np.any(to_numpy(other) != to_numpy(first))

    @pytest.mark.parametrize("traced", [False, True])
    def test_without_a_seed_each_call_has_its_own_mask(self, traced):
        layer, ids = make_layer(0.5, 40), np.arange(40)[None]

        def call():
            return layer(ids, training=True)

        call = tf.function(call) if traced else call
        assert np.any(to_numpy(call()) != to_numpy(call()))

    def test_constructor_seed_repeats_the_sequence_of_masks(self):
        one, other = make_layer(0.5, 40, seed=3), make_layer(0.5, 40, seed=3)
        ids = np.arange(40)[None]
        for _ in range(2):
            assert_equal(one(ids, training=True), other(ids, training=True))

    def test_dropped_word_is_still_predictable(self):
        layer = make_layer(0.9)
        decoder = layers.TiedDecoder(layer.embedding, use_bias=False)
        hidden = layer(IDS, training=True, seed=seed_tensor())
        assert np.any(np.all(to_numpy(hidden) == 0.0, axis=-1))
        # All rows of the softmax matrix are there, whatever this pass dropped.
        logits = decoder(np.ones((1, 1, DIM), "float32"), training=True)
        expected = layer.embedding.embeddings.numpy().sum(axis=-1)
        assert np.all(expected > 0.0)
        assert_close(logits[0, 0], expected, 1e-6)

    def test_fit_save_and_load_with_a_shared_table(self):
        keras.utils.set_random_seed(0)
        ids = keras.Input((None,), dtype="int32")
        embedding = keras.layers.Embedding(VOCABULARY, DIM)
        hidden = layers.EmbeddingDropout(embedding, 0.1, seed=1)(ids)
        hidden = keras.layers.Dense(DIM, activation="tanh")(hidden)
        model = keras.Model(ids, layers.TiedDecoder(embedding)(hidden))
        count = VOCABULARY * DIM + DIM * DIM + DIM + VOCABULARY
        assert model.count_params() == count
        model.compile(
            keras.optimizers.Adam(0.05),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        inputs = np.tile(np.arange(VOCABULARY), (4, 2))
        targets = (inputs + 1) % VOCABULARY
        history = model.fit(inputs, targets, epochs=25, verbose=0).history
        assert history["loss"][-1] < 0.6 * history["loss"][0]
        revived = save_and_load(model)
        assert revived.count_params() == count
        assert_equal(revived(inputs), model(inputs))
        dropout = next(x for x in revived.layers if isinstance(x, layers.EmbeddingDropout))
        decoder = next(x for x in revived.layers if isinstance(x, layers.TiedDecoder))
        assert dropout.embedding is decoder.embedding

    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), True, "half", None])
    def test_refuses_rates(self, rate):
        with pytest.raises(ValueError, match="rate"):
            make_layer(rate)
