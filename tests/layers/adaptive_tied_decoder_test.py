"""Tests of the decoder with an adaptive softmax."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers, ops
from tests.test_case import assert_close, check_layer

VOCABULARY, DIM, CUTOFFS = 9, 4, (2, 5)
HIDDEN = np.random.default_rng(0).normal(size=(2, 3, DIM)).astype("float32")


def make_decoder(cutoffs=CUTOFFS):
    embedding = keras.layers.Embedding(VOCABULARY, DIM)
    embedding.build()
    return layers.AdaptiveTiedDecoder(embedding, cutoffs)


def test_layer():
    check_layer(make_decoder, HIDDEN, output_dtypes=["float32"])


def test_loss_is_that_of_the_log_probabilities():
    decoder = make_decoder()
    decoder(HIDDEN)
    generator = np.random.default_rng(1)
    for weight in decoder.weights:
        weight.assign(generator.normal(size=weight.shape))
    targets = [[0, 3, 8], [1, 2, 4]]
    log_probabilities = decoder(HIDDEN)
    expected = ops.adaptive_log_probabilities(
        tf.constant(HIDDEN),
        *(decoder.embedding.embeddings, decoder.bias, decoder.tail_matrix, decoder.tail_bias),
        CUTOFFS,
    )
    assert_close(log_probabilities, expected, 1e-6)
    total, num_tokens = decoder.loss(HIDDEN, targets)
    assert num_tokens == 6
    expected_total = -tf.reduce_sum(tf.gather(log_probabilities, targets, batch_dims=2))
    assert_close(total, expected_total, 1e-5)


@pytest.mark.parametrize("cutoffs", [(), (0, 3), (3, 3), (5, 2), (3, VOCABULARY)], ids=str)
def test_refuses_cutoffs(cutoffs):
    with pytest.raises(ValueError, match=r"from 1 to the number of words minus 1, 8\. Received"):
        make_decoder(cutoffs)
