"""Tests of the softmax layer that shares the embedding's matrix."""

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
    dtype_policy,
    to_numpy,
)

VOCABULARY, DIM = 7, 4


def make_embedding():
    embedding = keras.layers.Embedding(VOCABULARY, DIM)
    embedding.build()
    return embedding


def make_hidden():
    return np.random.default_rng(0).normal(size=(2, 3, DIM)).astype("float32")


class TestTiedDecoder:
    @pytest.mark.parametrize("use_bias", [False, True])
    def test_layer(self, use_bias):
        # Logits are float32 under every policy.
        check_layer(
            lambda: layers.TiedDecoder(make_embedding(), use_bias=use_bias),
            make_hidden(),
            output_dtypes=["float32"],
        )

    def test_config(self):
        revived = check_config(layers.TiedDecoder(make_embedding(), use_bias=False, name="out"))
        assert isinstance(revived.embedding, keras.layers.Embedding)
        assert revived.use_bias is False and revived.name == "out"

    def test_equals_numpy(self):
        embedding = make_embedding()
        decoder = layers.TiedDecoder(embedding)
        decoder(make_hidden())
        bias = np.random.default_rng(1).normal(size=(VOCABULARY,)).astype("float32")
        decoder.bias.assign(bias)
        expected = make_hidden() @ embedding.embeddings.numpy().T + bias
        assert_close(decoder(make_hidden()), expected, 1e-5)

    def test_shares_the_table_and_owns_its_bias(self):
        embedding = make_embedding()
        decoder = layers.TiedDecoder(embedding)
        decoder(make_hidden())
        assert decoder.embedding is embedding
        assert decoder.count_params() == VOCABULARY * DIM + VOCABULARY
        assert len(decoder.trainable_weights) == 2
        assert any(weight is embedding.embeddings for weight in decoder.weights)
        assert_equal(decoder.bias, np.zeros(VOCABULARY))
        embedding.embeddings.assign(np.ones((VOCABULARY, DIM)))
        expected = np.repeat(make_hidden().sum(-1, keepdims=True), VOCABULARY, axis=-1)
        assert_close(decoder(make_hidden()), expected, 1e-5)

    def test_without_bias(self):
        decoder = layers.TiedDecoder(make_embedding(), use_bias=False)
        decoder(make_hidden())
        assert decoder.count_params() == VOCABULARY * DIM

    def test_gradients_of_both_uses_add_up(self):
        embedding = make_embedding()
        decoder = layers.TiedDecoder(embedding)
        ids = tf.constant([[1, 2], [2, 0]])
        decoder(embedding(ids))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(decoder(embedding(ids))))
        table = embedding.embeddings.value
        gradient = tape.gradient(loss, table)
        copy = tf.constant(table.numpy())
        with tf.GradientTape() as tape:
            tape.watch(copy)
            hidden = tf.gather(copy, ids)
            loss = tf.reduce_sum(tf.sin(tf.einsum("btd,vd->btv", hidden, copy)))
        assert_close(gradient, tape.gradient(loss, copy), 1e-5)

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_half_precision_is_close(self, policy):
        with dtype_policy(policy):
            decoder = layers.TiedDecoder(make_embedding())
        logits = decoder(make_hidden())
        assert logits.dtype == "float32"
        table = decoder.embedding.embeddings.numpy()
        assert_close(logits, make_hidden() @ table.T, 0.02)

    def test_traced_equals_eager_for_any_shape(self):
        decoder = layers.TiedDecoder(make_embedding())
        call = tf.function(decoder, input_signature=[tf.TensorSpec((None, None, DIM))])
        hidden = make_hidden()
        assert_close(call(hidden), decoder(hidden), 1e-6)
        assert_close(call(hidden[:1, :2]), to_numpy(decoder(hidden))[:1, :2], 1e-6)
