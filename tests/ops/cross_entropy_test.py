"""Tests of the softmax cross-entropy over a sequence."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_close

BATCH, TIME, DIM, VOCABULARY = 3, 5, 4, 11
NAMES = ("hidden", "embedding", "bias")


def make_arguments(dtype="float64"):
    """hidden, embedding, bias and targets."""
    generator = np.random.default_rng(0)
    hidden = tf.constant(generator.normal(size=(BATCH, TIME, DIM)), dtype)
    embedding = tf.constant(generator.normal(size=(VOCABULARY, DIM)), dtype)
    bias = tf.constant(generator.normal(size=(VOCABULARY,)), dtype)
    targets = tf.constant(generator.integers(VOCABULARY, size=(BATCH, TIME)), "int32")
    return hidden, embedding, bias, targets


def plain_loss(hidden, embedding, bias, targets, weights=None):
    """The same loss with all logits at once, for autodiff to differentiate."""
    logits = tf.einsum("btd,vd->btv", hidden, embedding) + bias
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return tf.reduce_sum(nats if weights is None else nats * weights)


def loss_and_gradients(function, arguments, **options):
    """The loss, twice over so that its factor matters, with its gradients."""
    differentiable = list(arguments[:3])
    with tf.GradientTape() as tape:
        tape.watch(differentiable)
        result = function(*arguments, **options)
        loss = result[0] if isinstance(result, tuple) else result
        doubled = 2 * loss
    return loss, tape.gradient(doubled, differentiable)


class TestSequenceCrossEntropy:
    # Chunks of one token, of a size that divides the 15 tokens, of one that does not, and beyond.
    @pytest.mark.parametrize("chunk_size", [None, 1, 5, 4, 15, 100])
    @pytest.mark.parametrize("dtype,tolerance", [("float64", 1e-12), ("float32", 1e-5)])
    @pytest.mark.parametrize("training", [True, False])
    def test_equals_plain_autodiff(self, chunk_size, dtype, tolerance, training):
        arguments = make_arguments(dtype)
        loss, gradients = loss_and_gradients(
            ops.sequence_cross_entropy, arguments, chunk_size=chunk_size, training=training
        )
        expected_loss, expected = loss_and_gradients(plain_loss, arguments)
        assert loss.shape == () and loss.dtype == dtype
        assert_close(loss, expected_loss, tolerance)
        for name, actual, value in zip(NAMES, gradients, expected, strict=True):
            assert actual.dtype == dtype
            assert_close(actual, value, tolerance, name)

    @pytest.mark.parametrize("chunk_size,training", [(None, True), (4, True), (4, False)])
    def test_weights(self, chunk_size, training):
        arguments = make_arguments()
        weights = np.random.default_rng(1).random((BATCH, TIME))
        weights[0, :2] = 0.0
        weights = tf.constant(weights)
        loss, gradients = loss_and_gradients(
            ops.sequence_cross_entropy,
            arguments,
            weights=weights,
            chunk_size=chunk_size,
            training=training,
        )
        expected_loss, expected = loss_and_gradients(plain_loss, arguments, weights=weights)
        assert_close(loss, expected_loss, 1e-12)
        for name, actual, value in zip(NAMES, gradients, expected, strict=True):
            assert_close(actual, value, 1e-12, name)
        assert_close(gradients[0][0, :2] + 1.0, np.ones((2, DIM)), 0.0)
        _, num_tokens = ops.sequence_cross_entropy(
            *arguments, weights=weights, chunk_size=chunk_size
        )
        assert_close(num_tokens, tf.reduce_sum(weights), 1e-6)

    @pytest.mark.parametrize("chunk_size", [None, 4])
    def test_counts_tokens(self, chunk_size):
        _, num_tokens = ops.sequence_cross_entropy(*make_arguments(), chunk_size=chunk_size)
        assert num_tokens.shape == ()
        assert float(num_tokens) == BATCH * TIME

    @pytest.mark.parametrize("chunk_size", [None, 4])
    def test_without_bias(self, chunk_size):
        hidden, embedding, bias, targets = make_arguments()
        loss, _ = ops.sequence_cross_entropy(
            hidden, embedding, None, targets, chunk_size=chunk_size
        )
        assert_close(loss, plain_loss(hidden, embedding, 0.0 * bias, targets), 1e-12)

    @pytest.mark.parametrize("chunk_size", [0, -1])
    def test_refuses_chunk_size(self, chunk_size):
        with pytest.raises(ValueError, match="chunk_size"):
            ops.sequence_cross_entropy(*make_arguments(), chunk_size=chunk_size)

    def test_no_weight_at_all(self):
        loss, num_tokens = ops.sequence_cross_entropy(
            *make_arguments("float32"), weights=tf.zeros((BATCH, TIME)), chunk_size=4
        )
        assert float(loss) == 0.0 and float(num_tokens) == 0.0

    def test_uniform_logits_cost_log_of_vocabulary(self):
        _, embedding, _, targets = make_arguments("float32")
        loss, num_tokens = ops.sequence_cross_entropy(
            tf.zeros((BATCH, TIME, DIM)), embedding, tf.zeros((VOCABULARY,)), targets
        )
        assert float(loss / num_tokens) == pytest.approx(np.log(VOCABULARY), rel=1e-6)

    @pytest.mark.parametrize("chunk_size", [None, 2])
    def test_any_leading_axes(self, chunk_size):
        hidden, embedding, bias, targets = make_arguments()
        expected = plain_loss(hidden, embedding, bias, targets)
        for shape in ((BATCH * TIME,), (1, BATCH, TIME)):
            loss, _ = ops.sequence_cross_entropy(
                tf.reshape(hidden, (*shape, DIM)),
                embedding,
                bias,
                tf.reshape(targets, shape),
                chunk_size=chunk_size,
            )
            assert_close(loss, expected, 1e-12)

    @pytest.mark.parametrize("chunk_size", [None, 4])
    def test_bfloat16(self, chunk_size):
        hidden, embedding, bias, targets = make_arguments("float32")
        half = [tf.cast(hidden, "bfloat16"), tf.cast(embedding, "bfloat16"), bias, targets]
        # The same numbers, rounded to bfloat16, in full precision.
        rounded = [tf.cast(half[0], "float32"), tf.cast(half[1], "float32"), bias, targets]
        loss, gradients = loss_and_gradients(
            ops.sequence_cross_entropy, half, chunk_size=chunk_size
        )
        expected_loss, expected = loss_and_gradients(plain_loss, rounded)
        assert loss.dtype == "float32"
        assert_close(loss, expected_loss, 0.02)
        for name, argument, actual, value in zip(NAMES, half, gradients, expected, strict=False):
            assert actual.dtype == argument.dtype
            assert_close(actual, value, 0.05, name)

    def test_words_of_vanishing_probability(self):
        # In float32 a probability of e^-200 is 0; one of the two words is likely all the same.
        embedding = tf.constant([[0.0], [-200.0], [-1.0]])
        loss, _ = ops.sequence_cross_entropy(
            tf.ones((2, 1)), embedding, None, tf.constant([1, 2]), weights=tf.constant([1.0, 0.0])
        )
        assert_close(loss, 200.0 + np.log1p(np.exp(-1.0)), 1e-6)

    @pytest.mark.parametrize("chunk_size", [None, 4])
    def test_large_logits_stay_finite(self, chunk_size):
        hidden, embedding, bias, targets = make_arguments("float32")
        arguments = (hidden * 1e3, embedding * 1e2, bias, targets)
        loss, gradients = loss_and_gradients(
            ops.sequence_cross_entropy, arguments, chunk_size=chunk_size
        )
        assert_close(loss, plain_loss(*arguments), 1e-5)
        for gradient in gradients:
            assert np.all(np.isfinite(gradient))

    @pytest.mark.parametrize("chunk_size", [None, 4])
    def test_unknown_shapes_trace_once(self, chunk_size):
        traces = []
        _, embedding, bias, _ = make_arguments("float32")

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None, DIM)),
                tf.TensorSpec((None, None), "int32"),
            ]
        )
        def compute(hidden, targets):
            traces.append(1)
            return loss_and_gradients(
                ops.sequence_cross_entropy,
                (hidden, embedding, bias, targets),
                chunk_size=chunk_size,
            )

        hidden, _, _, targets = make_arguments("float32")
        for batch, time in ((3, 5), (1, 1), (2, 4)):
            arguments = hidden[:batch, :time], embedding, bias, targets[:batch, :time]
            loss, gradients = compute(arguments[0], arguments[3])
            expected_loss, expected = loss_and_gradients(plain_loss, arguments)
            assert_close(loss, expected_loss, 1e-5)
            for name, actual, value in zip(NAMES, gradients, expected, strict=True):
                assert_close(actual, value, 1e-5, name)
        assert len(traces) == 1
