"""Tests of the dropout of whole words."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from tests.test_case import (
    assert_close,
    assert_equal,
    check_layer,
    dtype_policy,
    seed_tensor,
    to_numpy,
)

VOCABULARY, DIM = 40, 4
IDS = np.random.default_rng(0).integers(VOCABULARY, size=(6, 50))


def make_layer(rate=0.5, **options):
    """Returns a layer around a matrix without zeros."""
    initializer = keras.initializers.RandomUniform(0.5, 1.0, seed=1)
    embedding = keras.layers.Embedding(VOCABULARY, DIM, embeddings_initializer=initializer)
    embedding.build()
    return layers.EmbeddingDropout(embedding, rate, **options)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_layer(rate):
    check_layer(lambda: make_layer(rate, seed=1), IDS)


def test_builds_the_embedding():
    layer = layers.EmbeddingDropout(keras.layers.Embedding(VOCABULARY, DIM), 0.5)
    assert layer(IDS).shape == (*IDS.shape, DIM)
    assert layer.count_params() == VOCABULARY * DIM


def test_dropped_words_vanish_everywhere():
    layer = make_layer()
    matrix = layer.embedding.embeddings.numpy()
    with tf.GradientTape() as tape:
        outputs = layer(IDS, training=True, seed=seed_tensor())
        loss = tf.reduce_sum(outputs)
    gradient = to_numpy(tape.gradient(loss, layer.embedding.embeddings.value))
    outputs = to_numpy(outputs)
    dropped = np.array([np.all(outputs[IDS == word] == 0) for word in range(VOCABULARY)])
    assert 8 < dropped.sum() < 32
    expected = np.where(dropped[:, np.newaxis], 0.0, 2.0 * matrix)
    assert_close(outputs, expected[IDS], 1e-6)
    counts = np.bincount(IDS.ravel(), minlength=VOCABULARY)
    expected = np.where(dropped, 0.0, 2.0 * counts)
    assert_close(gradient, np.repeat(expected[:, np.newaxis], DIM, axis=1), 1e-6)
    assert_equal(layer.embedding.embeddings, matrix)


def test_exact_rows_at_inference_and_at_rate_zero():
    for layer, training in ((make_layer(0.5), False), (make_layer(0.0), True)):
        assert_equal(layer(IDS, training=training), layer.embedding.embeddings.numpy()[IDS])


def test_the_mask_belongs_to_the_words():
    layer, options = make_layer(), {"training": True, "seed": seed_tensor()}
    assert_equal(layer(IDS[:, ::-1], **options), layer(IDS, **options)[:, ::-1])


@pytest.mark.parametrize("training", [False, True])
def test_float_ids_under_mixed_precision(training):
    """bfloat16 has no 257, and Keras's default dtype of an input is float32."""
    with dtype_policy("mixed_bfloat16"):
        embedding = keras.layers.Embedding(2000, DIM)
        ids = keras.Input((None,))
        model = keras.Model(ids, layers.EmbeddingDropout(embedding, 0.0)(ids))
    ids = np.array([[257.0, 1001.0, 1999.0]], "float32")
    expected = embedding.embeddings.numpy()[ids.astype(int)]
    assert_equal(model(ids, training=training), tf.cast(expected, "bfloat16"))


def test_mask_zero():
    embedding = keras.layers.Embedding(VOCABULARY, DIM, mask_zero=True)
    outputs = layers.EmbeddingDropout(embedding, 0.5)(IDS, training=True)
    assert_equal(outputs._keras_mask, IDS != 0)


def test_a_dropped_word_can_be_predicted():
    layer = make_layer(0.9)
    decoder = layers.TiedDecoder(layer.embedding, use_bias=False)
    layer(IDS, training=True, seed=seed_tensor())
    logits = decoder(np.ones((1, 1, DIM), "float32"), training=True)
    assert_close(logits[0, 0], layer.embedding.embeddings.numpy().sum(axis=-1), 1e-6)
