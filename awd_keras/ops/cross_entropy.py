"""Softmax cross-entropy over a large vocabulary."""

import tensorflow as tf

# Number of logits in memory at once: 838 tokens with the 10,000 words of Penn Treebank. Each chunk
# adds to the gradient of the whole matrix, so a few large chunks are fastest.
_CHUNK_ELEMENTS = 8 * 2**20
_MIN_CHUNK = 128
# Smaller probabilities have lost precision, and so have their logarithms.
_MIN_PROBABILITY = 1e-30


def sequence_cross_entropy(
    hidden, embedding, bias, targets, weights=None, chunk_size=None, training=True
):
    """Computes the total cross-entropy of a softmax over the vocabulary.

    The logits `hidden @ embedding^T + bias` are computed in chunks of tokens, so that they are
    never all in memory at once. The gradient of each chunk is computed together with its loss.

    Args:
        hidden: Tensor of shape `(..., features)`, the inputs of the decoder.
        embedding: Tensor of shape `(vocabulary_size, features)`, the softmax matrix.
        bias: Tensor of shape `(vocabulary_size,)`, or `None`.
        targets: Integer tensor of shape `(...)`, the words to predict.
        weights: Tensor of shape `(...)`, the weight of each token (0 for padding), or `None` (the
            default) for ones.
        chunk_size: Maximum number of tokens per chunk, or `None` (the default) to limit a chunk to
            8 Mi logits or 128 tokens, whichever is larger.
        training: Whether to compute the gradient together with the loss. Otherwise, computing the
            gradient recomputes the logits. Defaults to `True`.

    Returns:
        `(total_loss, num_tokens)`, scalars in float32 (float64 for float64 inputs): the weighted
        sum of the losses in nats, and the sum of the weights. Divide them to get the loss per
        token.

    Raises:
        ValueError: If `chunk_size` is not positive.

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
    chunk_size = chunk_size or max(_MIN_CHUNK, _CHUNK_ELEMENTS // vocabulary_size)
    num_chunks = -(-tf.size(targets) // chunk_size)
    chunk_size = -(-tf.size(targets) // tf.maximum(num_chunks, 1))

    @tf.custom_gradient
    def total_loss(*arguments):
        *inputs, weights = arguments

        def sums(with_gradients):
            return _sums_over_chunks(*inputs, weights, targets, chunk_size, with_gradients)

        total, losses, *gradients = sums(with_gradients=training)

        def gradient(upstream):
            computed = gradients if training else sums(with_gradients=True)[2:]
            scaled = (tf.cast(upstream * g, x.dtype) for g, x in zip(computed, inputs, strict=True))
            return (*scaled, upstream * losses)

        return total, gradient

    return total_loss(hidden, embedding, bias, weights), tf.reduce_sum(weights)


def _sums_over_chunks(hidden, embedding, bias, weights, targets, chunk_size, with_gradients):
    """Returns the total weighted loss and the loss of each token.

    With `with_gradients`, also returns the gradients of the total with respect to `hidden`,
    `embedding` and `bias`.
    """
    num_tokens = tf.shape(targets)[0]
    dtype, features = bias.dtype, hidden.shape[1]
    rows = tf.TensorShape((None, features))
    sums = [tf.zeros((), dtype), tf.zeros((0,), dtype)]
    shapes = [tf.TensorShape(()), tf.TensorShape((None,))]
    if with_gradients:
        sums += [tf.zeros((0, features), dtype), tf.zeros(embedding.shape, dtype)]
        sums += [tf.zeros_like(bias)]
        shapes += [rows, embedding.shape, bias.shape]

    def add_chunk(start, total, losses, *gradients):
        end = tf.minimum(start + chunk_size, num_tokens)
        chunk_hidden, chunk_targets, chunk_weights = (
            tensor[start:end] for tensor in (hidden, targets, weights)
        )
        chunk_losses, probabilities = _softmax(chunk_hidden, embedding, bias, chunk_targets)
        total = total + tf.reduce_sum(chunk_losses * chunk_weights)
        if gradients:
            d_hidden, d_embedding, d_bias = gradients
            chunk_d_hidden, chunk_d_embedding, chunk_d_bias = _softmax_gradient(
                chunk_hidden, embedding, chunk_targets, probabilities, chunk_weights
            )
            gradients = [
                tf.concat([d_hidden, tf.cast(chunk_d_hidden, dtype)], axis=0),
                d_embedding + tf.cast(chunk_d_embedding, dtype),
                d_bias + chunk_d_bias,
            ]
        return [end, total, tf.concat([losses, chunk_losses], axis=0), *gradients]

    _, *sums = tf.while_loop(
        lambda start, *_: start < num_tokens,
        add_chunk,
        [tf.constant(0), *sums],
        shape_invariants=[tf.TensorShape(()), *shapes],
        parallel_iterations=1,
    )
    return sums


def _softmax(hidden, embedding, bias, targets):
    """Returns the loss of each token in nats, and the probabilities of all words.

    TensorFlow's fused softmax cross-entropy takes three times as long as its softmax.
    """
    logits = tf.cast(tf.matmul(hidden, embedding, transpose_b=True), bias.dtype)
    logits = tf.nn.bias_add(logits, bias)
    probabilities = tf.nn.softmax(logits)
    target_probabilities = tf.gather(probabilities, targets, batch_dims=1)

    def losses_from_logits():
        max_logit, max_probability = (tf.reduce_max(x, axis=1) for x in (logits, probabilities))
        return max_logit - tf.math.log(max_probability) - tf.gather(logits, targets, batch_dims=1)

    losses = tf.cond(
        tf.reduce_all(target_probabilities > _MIN_PROBABILITY),
        lambda: -tf.math.log(target_probabilities),
        losses_from_logits,
    )
    return losses, probabilities


def _softmax_gradient(hidden, embedding, targets, probabilities, upstream):
    """Returns the gradients with respect to `hidden`, `embedding` and `bias`.

    `d_logits = (probabilities - one_hot(targets)) * upstream`. In each matmul, the factor
    `upstream` is applied to the other operand, which has fewer columns.
    """
    rows = tf.range(tf.shape(targets)[0])
    indices = tf.stack([rows, targets], axis=1)
    d_logits = tf.tensor_scatter_nd_sub(probabilities, indices, tf.ones_like(upstream))
    d_bias = tf.linalg.matvec(d_logits, upstream, transpose_a=True)
    d_logits = tf.cast(d_logits, hidden.dtype)
    factors = tf.cast(upstream, hidden.dtype)[:, tf.newaxis]
    d_hidden = tf.matmul(d_logits, embedding) * factors
    return d_hidden, tf.matmul(d_logits, hidden * factors, transpose_a=True), d_bias
