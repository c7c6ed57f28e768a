"""Compares the adaptive softmax in float32 with its definition in float64."""

import numpy as np
import tensorflow as tf

from awd_keras import ops

LIMIT = 2e-5
_CUTOFFS, _WORDS = (5, 12), 30
_SHAPES = {
    "hidden": (4, 7, 16),
    "embedding": (_WORDS, 16),
    "bias": (_WORDS,),
    "tail embedding": (2, 16),
    "tail bias": (2,),
}


def compare():
    """Returns (name, actual, expected) of log-probabilities, loss and gradients."""
    generator = np.random.default_rng(13)
    targets = generator.integers(_WORDS, size=(4, 7))
    exact = [tf.constant(generator.normal(size=shape)) for shape in _SHAPES.values()]
    arguments = [tf.cast(argument, "float32") for argument in exact]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        loss, _ = ops.adaptive_cross_entropy(*arguments, _CUTOFFS, targets)
    with tf.GradientTape() as exact_tape:
        exact_tape.watch(exact)
        log_probabilities = _definition(*exact)
        exact_loss = -tf.reduce_sum(tf.gather(log_probabilities, targets, batch_dims=2))
    gradients = zip(
        _SHAPES, tape.gradient(loss, arguments), exact_tape.gradient(exact_loss, exact), strict=True
    )
    return [
        (
            "log-probabilities",
            ops.adaptive_log_probabilities(*arguments, _CUTOFFS),
            log_probabilities,
        ),
        ("loss", loss, exact_loss),
        *((f"gradient of {name}", actual, expected) for name, actual, expected in gradients),
    ]


def _definition(hidden, embedding, bias, tail_embedding, tail_bias):
    """Computes the log-probabilities of all words from all logits."""
    logits = tf.exp(hidden @ tf.transpose(embedding) + bias)
    tails = tf.exp(hidden @ tf.transpose(tail_embedding) + tail_bias)
    first, second = _CUTOFFS
    head = tf.reduce_sum(logits[..., :first], -1) + tf.reduce_sum(tails, -1)
    parts = [logits[..., :first] / head[..., tf.newaxis]]
    for index, words in enumerate((logits[..., first:second], logits[..., second:])):
        share = tails[..., index] / head / tf.reduce_sum(words, -1)
        parts.append(words * share[..., tf.newaxis])
    return tf.math.log(tf.concat(parts, -1))
