"""Tests of the softmax layer that shares the matrix of an embedding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from tests.test_case import assert_close, assert_equal, check_layer, save_and_load

VOCABULARY, DIM = 7, 4
IDS = np.array([[1, 2, 6], [2, 0, 1]])


def make_decoder(**options):
    embedding = keras.layers.Embedding(VOCABULARY, DIM)
    embedding.build()
    return layers.TiedDecoder(embedding, **options)


def make_hidden():
    return np.random.default_rng(0).normal(size=(2, 3, DIM)).astype("float32")


def make_model():
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(VOCABULARY, DIM)
    decoder = layers.TiedDecoder(embedding, name="decoder")
    return keras.Model(ids, decoder(embedding(ids)))


@pytest.mark.parametrize("use_bias", [False, True])
def test_layer(use_bias):
    check_layer(lambda: make_decoder(use_bias=use_bias), make_hidden(), output_dtypes=["float32"])


def test_equals_numpy():
    decoder = make_decoder()
    hidden = make_hidden()
    call = tf.function(decoder, input_signature=[tf.TensorSpec((None, None, DIM))])
    call(hidden)
    bias = np.arange(VOCABULARY, dtype="float32")
    assert_equal(decoder.bias, 0.0 * bias)
    decoder.bias.assign(bias)
    matrix = decoder.embedding.embeddings.numpy()
    assert_close(call(hidden), hidden @ matrix.T + bias, 1e-5)
    assert_close(call(hidden[:1, :2]), hidden[:1, :2] @ matrix.T + bias, 1e-5)


def test_mixed_precision_does_not_round_the_bias():
    decoder = make_decoder(dtype="mixed_bfloat16")
    hidden = np.zeros((2, 3, DIM), "float32")
    decoder(hidden)
    bias = 1.0 + np.arange(VOCABULARY, dtype="float32") / 1000
    decoder.bias.assign(bias)
    assert_equal(decoder(hidden)[0, 0], bias)


@pytest.mark.parametrize("cutoffs", [None, (2,)])
def test_a_loss_before_the_first_call(cutoffs):
    embedding = keras.layers.Embedding(VOCABULARY, DIM)
    if cutoffs is None:
        decoder = layers.TiedDecoder(embedding)
    else:
        decoder = layers.AdaptiveTiedDecoder(embedding, cutoffs)
    total, num_tokens = decoder.loss(make_hidden(), IDS)
    assert decoder.bias in decoder.trainable_weights
    assert_close(
        total,
        -np.take_along_axis(
            tf.nn.log_softmax(decoder(make_hidden())).numpy(), IDS[..., np.newaxis], axis=-1
        ).sum(),
        1e-5,
    )
    assert int(num_tokens) == IDS.size


def test_shares_the_matrix():
    decoder = make_decoder()
    hidden = decoder.embedding(IDS)
    decoder(hidden)
    assert [weight.name for weight in decoder.trainable_weights] == ["bias", "embeddings"]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(decoder(decoder.embedding(IDS))))
    gradient = tape.gradient(loss, decoder.embedding.embeddings.value)
    matrix = tf.constant(decoder.embedding.embeddings.numpy())
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        logits = tf.einsum("btd,vd->btv", tf.gather(matrix, IDS), matrix)
        loss = tf.reduce_sum(tf.sin(logits))
    assert_close(gradient, tape.gradient(loss, matrix), 1e-5)


def test_freezing():
    model = make_model()
    decoder = model.get_layer("decoder")
    decoder.bias.trainable = False
    assert [weight.name for weight in model.trainable_weights] == ["embeddings"]
    decoder.trainable = False
    assert model.trainable_weights == []


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_embedding(mode):
    model = make_model()
    expected = model(IDS)
    model.quantize(mode)
    assert_close(model(IDS), expected, {"int8": 0.02, "int4": 0.3}[mode])


def test_all_layers_share_the_embedding_after_loading():
    # Keras marks what is shared when it serializes it again, so the first of three could miss it.
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(5, 3)
    first, second = (layers.EmbeddingDropout(embedding, 0.1, name=name) for name in "ab")
    decoder = layers.TiedDecoder(embedding, use_bias=False, name="c")
    model = keras.Model(ids, decoder(keras.layers.add([first(ids), second(ids)])))
    revived = save_and_load(model)
    owned = [revived.get_layer(name).embedding for name in "abc"]
    assert owned[0] is owned[1] is owned[2]
    assert revived.count_params() == model.count_params() == 5 * 3


@pytest.mark.parametrize("wrong", [None, keras.layers.Embedding, keras.layers.Dense(3)])
def test_refuses_other_layers(wrong):
    with pytest.raises(ValueError, match="`embedding` must be a keras.layers.Embedding"):
        layers.TiedDecoder(wrong)


def test_refuses_other_features():
    with pytest.raises(ValueError, match="must have 4 features"):
        make_decoder()(np.ones((2, 3, DIM + 1), "float32"))
