"""Softmax cross-entropy over a large vocabulary."""

import tensorflow as tf

# Up to this vocabulary the logits of a window are one array, which saves computing them again for
# the gradient (Penn Treebank: 224 MB at batch 80); beyond it, chunks of at most 256 MiB.
_WHOLE_VOCABULARY = 50_000
_CHUNK_ELEMENTS = 64 * 2**20


def sequence_cross_entropy(hidden, embedding, bias, targets, weights=None, chunk_size=None):
    """Total cross-entropy of a softmax over the vocabulary, and the number of tokens.

    `logits = hidden @ embedding^T + bias`. For a large vocabulary they are computed in chunks of
    tokens, and once more for the gradient: never all at once.

    Args:
        hidden: tensor (..., features): the decoder's inputs.
        embedding: tensor (vocabulary_size, features): the softmax matrix.
        bias: tensor (vocabulary_size,), or None.
        targets: integer tensor (...): the words to predict.
        weights: None, or a tensor (...): how often each token counts; 0 for padding.
        chunk_size: tokens whose logits are held at once. None takes all of them for up to 50,000
            words, and as many as fit in 256 MiB beyond.

    Returns:
        `(total_loss, num_tokens)`, scalars in float32 (float64 for float64 inputs): the sum of
        weight * nats, and the sum of the weights. Their quotient is the loss per token. Sums
        travel with counts; the caller divides once, at the end.

    Raises:
        ValueError: if `chunk_size` is not positive.

    Example:

    >>> hidden, embedding = tf.zeros((2, 3, 4)), tf.zeros((10, 4))
    >>> loss, count = sequence_cross_entropy(hidden, embedding, None, tf.zeros((2, 3), tf.int32))
    >>> f"{float(loss / count):.4f}"  # ln 10
    '2.3026'
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"`chunk_size` must be at least 1. Received: chunk_size={chunk_size}")
    hidden = tf.convert_to_tensor(hidden)
    dtype = tf.float64 if hidden.dtype == tf.float64 else tf.float32
    features, vocabulary_size = embedding.shape[1], embedding.shape[0]
    hidden = tf.reshape(hidden, (-1, features))
    embedding = tf.cast(embedding, hidden.dtype)
    bias = tf.zeros(vocabulary_size, dtype) if bias is None else tf.cast(bias, dtype)
    targets = tf.reshape(tf.cast(targets, tf.int32), (-1,))
    if weights is None:
        weights = tf.ones(tf.shape(targets), dtype)
    weights = tf.reshape(tf.cast(weights, dtype), (-1,))
    if chunk_size is None and vocabulary_size <= _WHOLE_VOCABULARY:
        total = _whole(hidden, embedding, bias, targets, weights)
    else:
        chunk_size = chunk_size or max(1, _CHUNK_ELEMENTS // vocabulary_size)
        total = _chunked(hidden, embedding, bias, targets, weights, chunk_size)
    return total, tf.reduce_sum(weights)


def _softmax(hidden, embedding, bias, targets):
    """Nats of each token; and the exponentials, their sum and their places for the gradient.

    The library's fused operation takes exponentials twice; this takes them once, and leaves the
    division to the products of the gradient, whose rows are shorter.
    """
    logits = tf.cast(tf.matmul(hidden, embedding, transpose_b=True), bias.dtype)
    logits = tf.nn.bias_add(logits, bias)
    largest = tf.reduce_max(logits, axis=1, keepdims=True)
    exponentials = tf.exp(logits - largest)
    sums = tf.reduce_sum(exponentials, axis=1)
    of_targets = tf.gather(logits, targets, batch_dims=1)
    return tf.math.log(sums) + largest[:, 0] - of_targets, exponentials, sums


def _softmax_gradient(hidden, embedding, targets, exponentials, sums, upstream):
    """Gradients by hidden, embedding and bias, for an upstream gradient of each token's nats.

    d_logits = (exponentials / sums - one_hot(targets)) * upstream; the row's factor
    `upstream / sums` goes to the other side of each product.
    """
    rows = tf.range(tf.shape(targets)[0])
    places = tf.stack([rows, targets], axis=1)
    d_logits = tf.tensor_scatter_nd_sub(exponentials, places, sums)
    factors = (upstream / sums)[:, tf.newaxis]
    d_bias = tf.linalg.matvec(d_logits, factors[:, 0], transpose_a=True)
    d_logits = tf.cast(d_logits, hidden.dtype)
    factors = tf.cast(factors, hidden.dtype)
    d_hidden = tf.matmul(d_logits, embedding) * factors
    return d_hidden, tf.matmul(d_logits, hidden * factors, transpose_a=True), d_bias


@tf.custom_gradient
def _whole(hidden, embedding, bias, targets, weights):
    losses, exponentials, sums = _softmax(hidden, embedding, bias, targets)

    def gradient(upstream):
        gradients = _softmax_gradient(
            hidden, embedding, targets, exponentials, sums, upstream * weights
        )
        return (*gradients, None, upstream * losses)

    return tf.reduce_sum(losses * weights), gradient


def _chunked(hidden, embedding, bias, targets, weights, chunk_size):
    num_tokens = tf.shape(targets)[0]

    def chunk(start, *tensors):
        end = tf.minimum(start + chunk_size, num_tokens)
        return [tensor[start:end] for tensor in tensors]

    @tf.custom_gradient
    def total_loss(hidden, embedding, bias, weights):
        def add_losses(start, total, losses):
            some_hidden, some_targets = chunk(start, hidden, targets)
            some, _, _ = _softmax(some_hidden, embedding, bias, some_targets)
            (some_weights,) = chunk(start, weights)
            total = total + tf.reduce_sum(some * some_weights)
            return start + chunk_size, total, tf.concat([losses, some], axis=0)

        _, total, losses = tf.while_loop(
            lambda start, *_: start < num_tokens,
            add_losses,
            (0, tf.zeros((), bias.dtype), tf.zeros((0,), bias.dtype)),
            shape_invariants=(tf.TensorShape(()), tf.TensorShape(()), tf.TensorShape((None,))),
            parallel_iterations=1,
        )

        def gradient(upstream):
            def add_gradients(start, d_hidden, d_embedding, d_bias):
                some_hidden, some_targets, some_weights = chunk(start, hidden, targets, weights)
                _, exponentials, sums = _softmax(some_hidden, embedding, bias, some_targets)
                some, more_embedding, more_bias = _softmax_gradient(
                    some_hidden, embedding, some_targets, exponentials, sums,
                    upstream * some_weights)  # fmt: skip
                return (
                    start + chunk_size,
                    tf.concat([d_hidden, some], axis=0),
                    d_embedding + more_embedding,
                    d_bias + more_bias,
                )

            features = hidden.shape[1]
            _, d_hidden, d_embedding, d_bias = tf.while_loop(
                lambda start, *_: start < num_tokens,
                add_gradients,
                (0, hidden[:0], tf.zeros_like(embedding), tf.zeros_like(bias)),
                shape_invariants=(
                    tf.TensorShape(()),
                    tf.TensorShape((None, features)),
                    embedding.shape,
                    bias.shape,
                ),
                parallel_iterations=1,
            )
            return d_hidden, d_embedding, d_bias, upstream * losses

        return total, gradient

    return total_loss(hidden, embedding, bias, weights)
