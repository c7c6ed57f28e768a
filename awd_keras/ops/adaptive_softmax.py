"""Adaptive softmax over a large vocabulary (Grave et al. 2016, arXiv 1609.04309).

Words are ordered by frequency and split at cutoffs into clusters. The head predicts the words of
the first cluster or one of the other clusters, the tails, each of which predicts its own words:

`log p(word) = log p(tail) + log p(word | tail)`

As in the code of AWD-LSTM's authors, all matrices have the same number of columns, so that they can
be the rows of an embedding.
"""

import tensorflow as tf

from awd_keras.ops.cross_entropy import sequence_cross_entropy


def adaptive_cross_entropy(
    hidden, embedding, bias, tail_embedding, tail_bias, cutoffs, targets, weights=None, **kwargs
):
    """Computes the total cross-entropy of an adaptive softmax.

    The logits of a tail are computed only for tokens whose target is in it.

    Args:
        hidden: Tensor of shape `(..., features)`.
        embedding: Tensor of shape `(vocabulary_size, features)`, the vectors of the words.
        bias: Tensor of shape `(vocabulary_size,)`.
        tail_embedding: Tensor of shape `(len(cutoffs), features)`, the vectors of the tails.
        tail_bias: Tensor of shape `(len(cutoffs),)`.
        cutoffs: The first word of each tail, increasing positive integers below `vocabulary_size`.
        targets: Integer tensor of shape `(...)`, the words to predict.
        weights: Tensor of shape `(...)`, the weight of each token, or `None` (the default) for
            ones.
        **kwargs: Passed to `sequence_cross_entropy`.

    Returns:
        `(total_loss, num_tokens)`, as of `sequence_cross_entropy`.

    Example:

    >>> hidden, embedding, bias = tf.zeros((2, 3, 4)), tf.zeros((10, 4)), tf.zeros(10)
    >>> tails = tf.zeros((2, 4)), tf.zeros(2)
    >>> targets = [[0, 1, 2], [3, 0, 9]]  # 4 of the words before 3, and one of each tail
    >>> loss, count = adaptive_cross_entropy(hidden, embedding, bias, *tails, (3, 5), targets)
    >>> f"{float(loss):.4f}"  # 6 ln 5 + ln 2 + ln 5
    '11.9592'
    """
    hidden = tf.reshape(hidden, (-1, hidden.shape[-1]))
    targets = tf.reshape(tf.cast(targets, tf.int32), (-1,))
    if weights is None:
        weights = tf.ones(tf.shape(targets), bias.dtype)
    weights = tf.reshape(weights, (-1,))
    clusters = _clusters(embedding, bias, tail_embedding, tail_bias, cutoffs)
    cluster_of = tf.searchsorted(tf.constant(cutoffs), targets, side="right")
    # In the head, a tail follows the words.
    in_head = tf.where(cluster_of == 0, targets, cutoffs[0] - 1 + cluster_of)
    total, num_tokens = sequence_cross_entropy(hidden, *clusters[0], in_head, weights, **kwargs)
    for index, first_word in enumerate(cutoffs, 1):
        tokens = tf.where(cluster_of == index)[:, 0]
        of_tail = (tf.gather(x, tokens) for x in (targets - first_word, weights))
        loss, _ = sequence_cross_entropy(
            tf.gather(hidden, tokens), *clusters[index], *of_tail, **kwargs
        )
        total += loss
    return total, num_tokens


def adaptive_log_probabilities(hidden, embedding, bias, tail_embedding, tail_bias, cutoffs):
    """Computes the log-probabilities of all words; see `adaptive_cross_entropy`.

    Returns:
        Tensor of shape `(..., vocabulary_size)`, float32 (float64 for float64 inputs).
    """
    dtype = tf.float64 if hidden.dtype == tf.float64 else tf.float32

    def log_softmax(matrix, bias):
        matrix = tf.cast(matrix, hidden.dtype)
        logits = tf.matmul(hidden, matrix, transpose_b=True)
        return tf.nn.log_softmax(tf.cast(logits, dtype) + tf.cast(bias, dtype))

    head, *tails = _clusters(embedding, bias, tail_embedding, tail_bias, cutoffs)
    words, *of_tails = tf.split(log_softmax(*head), [cutoffs[0]] + [1] * len(tails), axis=-1)
    of_words = [p + log_softmax(*tail) for p, tail in zip(of_tails, tails, strict=True)]
    return tf.concat([words, *of_words], axis=-1)


def _clusters(embedding, bias, tail_embedding, tail_bias, cutoffs):
    """Returns the matrix and the bias of each cluster, that of the head with those of the tails."""
    sizes = [end - start for start, end in zip((0, *cutoffs), (*cutoffs, bias.shape[0]))]
    # The gradient of `split` is one concatenation. That of slices would be a sum of padded ones.
    matrices, biases = tf.split(embedding, sizes), tf.split(bias, sizes)
    matrices[0] = tf.concat([matrices[0], tail_embedding], axis=0)
    biases[0] = tf.concat([biases[0], tail_bias], axis=0)
    return list(zip(matrices, biases, strict=True))
