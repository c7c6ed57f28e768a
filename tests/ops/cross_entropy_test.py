"""Tests of the softmax cross-entropy in chunks."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_all_close, assert_close

BATCH, TIME, DIM, VOCABULARY = 3, 5, 4, 11
WEIGHTS = np.random.default_rng(1).random((BATCH, TIME)) * (np.arange(TIME) > 0)


def make_arguments(dtype="float64"):
    """Returns hidden, embedding, bias and targets."""
    generator = np.random.default_rng(0)
    hidden = tf.constant(generator.normal(size=(BATCH, TIME, DIM)), dtype)
    embedding = tf.constant(generator.normal(size=(VOCABULARY, DIM)), dtype)
    bias = tf.constant(generator.normal(size=(VOCABULARY,)), dtype)
    targets = tf.constant(generator.integers(VOCABULARY, size=(BATCH, TIME)), "int32")
    return hidden, embedding, bias, targets


def plain_loss(hidden, embedding, bias, targets, weights):
    """Computes all logits at once, and leaves the gradient to automatic differentiation."""
    logits = tf.einsum("btd,vd->btv", hidden, embedding) + bias
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return tf.reduce_sum(losses * weights)


def loss_and_gradients(function, hidden, embedding, bias, targets, weights=None, **options):
    """Returns the loss, and the gradients of twice the loss."""
    weights = tf.ones(tf.shape(targets), bias.dtype) if weights is None else weights
    sources = [hidden, embedding, bias, tf.cast(weights, bias.dtype)]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        result = function(*sources[:3], targets, sources[3], **options)
        loss = result[0] if isinstance(result, tuple) else result
        doubled = 2 * loss
    return [loss, *tape.gradient(doubled, sources)]


def assert_equals_plain(arguments, tolerance, weights=None, **options):
    actual = loss_and_gradients(ops.sequence_cross_entropy, *arguments, weights, **options)
    expected = loss_and_gradients(plain_loss, *arguments, weights)
    assert [x.dtype for x in actual] == [x.dtype for x in expected]
    assert_all_close(actual, expected, tolerance)


# Chunks of one token, a size that divides the 15 tokens, one that does not, and a larger one.
@pytest.mark.parametrize("chunk_size", [None, 1, 5, 4, 100])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("training", [True, False])
def test_equals_automatic_differentiation(chunk_size, weights, training):
    assert_equals_plain(make_arguments(), 1e-12, weights, chunk_size=chunk_size, training=training)


def test_float32():
    assert_equals_plain(make_arguments("float32"), 1e-5, chunk_size=4)


def test_xla():
    @tf.function(jit_compile=True)
    def compute(*arguments):
        return loss_and_gradients(ops.sequence_cross_entropy, *arguments, chunk_size=4)

    actual = compute(*make_arguments(), tf.constant(WEIGHTS))
    expected = loss_and_gradients(plain_loss, *make_arguments(), WEIGHTS)
    assert_all_close(actual, expected, 1e-12)


def test_large_logits():
    hidden, embedding, bias, targets = make_arguments("float32")
    assert_equals_plain((hidden * 1e3, embedding * 1e2, bias, targets), 1e-5)


def test_bfloat16():
    hidden, embedding, bias, targets = make_arguments("float32")
    half = [tf.cast(hidden, "bfloat16"), tf.cast(embedding, "bfloat16"), bias, targets]
    actual = loss_and_gradients(ops.sequence_cross_entropy, *half, chunk_size=4)
    rounded = [tf.cast(half[0], "float32"), tf.cast(half[1], "float32"), bias, targets]
    expected = loss_and_gradients(plain_loss, *rounded)
    assert [value.dtype for value in actual[:3]] == ["float32", "bfloat16", "bfloat16"]
    assert_all_close(actual, expected, 0.05)


@pytest.mark.parametrize("weights", [None, WEIGHTS, 0 * WEIGHTS])
def test_counts_tokens(weights):
    loss, num_tokens = ops.sequence_cross_entropy(*make_arguments(), weights, chunk_size=4)
    assert float(num_tokens) == pytest.approx(15 if weights is None else weights.sum())
    assert np.isfinite(loss)


def test_no_tokens():
    hidden, embedding, bias, targets = make_arguments()
    assert_equals_plain((hidden[:0], embedding, bias, targets[:0]), 0.0)


def test_without_bias():
    hidden, embedding, bias, targets = make_arguments()
    actual, _ = ops.sequence_cross_entropy(hidden, embedding, None, targets)
    expected, _ = ops.sequence_cross_entropy(hidden, embedding, 0 * bias, targets)
    assert_close(actual, expected, 0.0)


def test_unknown_shapes_trace_once():
    hidden, embedding, bias, targets = make_arguments()
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, DIM), tf.float64),
            tf.TensorSpec((None, None), tf.int32),
        ]
    )
    def compute(hidden, targets):
        traces.append(1)
        arguments = hidden, embedding, bias, targets
        return loss_and_gradients(ops.sequence_cross_entropy, *arguments, chunk_size=4)

    for rows, steps in ((3, 5), (1, 1), (2, 4)):
        some = hidden[:rows, :steps], targets[:rows, :steps]
        expected = loss_and_gradients(plain_loss, some[0], embedding, bias, some[1])
        assert_all_close(compute(*some), expected, 1e-12)
    assert len(traces) == 1


def test_refuses_chunk_size():
    with pytest.raises(ValueError, match="`chunk_size` must be at least 1"):
        ops.sequence_cross_entropy(*make_arguments(), chunk_size=0)
