"""Tests of the adaptive softmax against a brute-force version."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_all_close, assert_close

DIM, VOCABULARY, CUTOFFS = 4, 11, (3, 5, 9)


def make_arguments(dtype="float64"):
    generator = np.random.default_rng(0)
    shapes = ((2, 8, DIM), (VOCABULARY, DIM), (VOCABULARY,), (3, DIM), (3,))
    return [tf.constant(generator.normal(size=shape), dtype) for shape in shapes]


def make_targets(words=range(VOCABULARY)):
    return np.random.default_rng(1).choice(list(words), size=(2, 8)).astype("int32")


def numpy_log_probabilities(hidden, embedding, bias, tail_embedding, tail_bias):
    """Computes the probability of each word from its definition, one by one."""

    def probability(logits, index):
        return np.exp(logits[index]) / np.sum(np.exp(logits))

    result = np.zeros((*hidden.shape[:-1], VOCABULARY))
    starts, ends = (0, *CUTOFFS), (*CUTOFFS, VOCABULARY)
    for place in np.ndindex(hidden.shape[:-1]):
        words = embedding @ hidden[place] + bias
        head = np.append(words[: CUTOFFS[0]], tail_embedding @ hidden[place] + tail_bias)
        for word in range(VOCABULARY):
            cluster = sum(word >= cutoff for cutoff in CUTOFFS)
            if cluster == 0:
                p = probability(head, word)
            else:
                tail = words[starts[cluster] : ends[cluster]]
                p = probability(head, CUTOFFS[0] + cluster - 1)
                p *= probability(tail, word - starts[cluster])
            result[*place, word] = np.log(p)
    return result


def losses_and_gradients(function, arguments):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        loss = function(*arguments)
    return [loss, *tape.gradient(loss, arguments)]


def adaptive(targets, weights=None, **options):
    """Returns the loss of `adaptive_cross_entropy` as a function of its other arguments."""
    return tf.function(
        lambda *arguments: ops.adaptive_cross_entropy(
            *arguments, CUTOFFS, targets, weights, **options
        )[0]
    )


def plain(targets, weights):
    """The same from the log-probabilities of all words, differentiated automatically."""

    def loss(*arguments):
        log_probabilities = ops.adaptive_log_probabilities(*arguments, CUTOFFS)
        return -tf.reduce_sum(tf.gather(log_probabilities, targets, batch_dims=2) * weights)

    return loss


def test_log_probabilities_equal_numpy():
    arguments = make_arguments()
    expected = numpy_log_probabilities(*(x.numpy() for x in arguments))
    actual = ops.adaptive_log_probabilities(*arguments, CUTOFFS)
    assert_close(actual, expected, 1e-12)
    assert_close(tf.reduce_sum(tf.exp(actual), axis=-1), np.ones((2, 8)), 1e-12)


# With the words of some clusters only, the others are empty.
@pytest.mark.parametrize("words", [range(VOCABULARY), [0, 2], [4, 10]], ids=str)
@pytest.mark.parametrize("options", [{}, {"training": False}, {"chunk_size": 3}], ids=str)
def test_loss_and_gradients(words, options):
    targets = make_targets(words)
    weights = np.random.default_rng(2).random((2, 8))
    actual = losses_and_gradients(adaptive(targets, weights, **options), make_arguments())
    expected = losses_and_gradients(plain(targets, weights), make_arguments())
    assert_all_close(actual, expected, 1e-12)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("bfloat16", 0.05)])
def test_precision(dtype, tolerance):
    targets = make_targets()
    exact = losses_and_gradients(adaptive(targets), make_arguments())
    hidden, *weights = make_arguments("float32")
    arguments = [tf.cast(hidden, dtype), *weights]
    actual = losses_and_gradients(adaptive(targets), arguments)
    log_probabilities = ops.adaptive_log_probabilities(*arguments, CUTOFFS)
    assert {x.dtype for x in (actual[0], *actual[2:], log_probabilities)} == {tf.float32}
    for values, expected in zip(actual, exact, strict=True):
        scale = np.max(np.abs(expected))
        assert_close(tf.cast(values, tf.float64) / scale, expected / scale, tolerance)
