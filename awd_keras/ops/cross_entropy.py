"""Softmax cross-entropy over a large vocabulary."""

import tensorflow as tf

# Logits that are held at once: 838 tokens of Penn Treebank's 10,000 words, 128 tokens beyond 65,536
# words. Each chunk adds to the gradient of the whole matrix, so few are better than small ones.
_CHUNK_ELEMENTS = 8 * 2**20
_LEAST_CHUNK = 128
# Above it a probability's logarithm is good to all digits, below it float32 has none left.
_LEAST_PROBABILITY = 1e-30


def sequence_cross_entropy(
    hidden, embedding, bias, targets, weights=None, chunk_size=None, training=True
):
    """Total cross-entropy of a softmax over the vocabulary, and the number of tokens.

    `logits = hidden @ embedding^T + bias`, in chunks of tokens: never all at once. The gradient
    is made on the way, from the logits of each chunk, so that nothing is computed twice.

    Args:
        hidden: tensor (..., features): the decoder's inputs.
        embedding: tensor (vocabulary_size, features): the softmax matrix.
        bias: tensor (vocabulary_size,), or None.
        targets: integer tensor (...): the words to predict.
        weights: None, or a tensor (...): how often each token counts; 0 for padding.
        chunk_size: tokens whose logits are held at once, at most: chunks are of one size. None
            takes as many as 8 Mi logits are, at least 128.
        training: if False, no gradient is made on the way. One can still be taken, which then
            computes the logits again.

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
    chunk_size = chunk_size or max(_LEAST_CHUNK, _CHUNK_ELEMENTS // vocabulary_size)
    num_chunks = -(-tf.size(targets) // chunk_size)
    chunk_size = -(-tf.size(targets) // tf.maximum(num_chunks, 1))

    @tf.custom_gradient
    def total_loss(*arguments):
        *inputs, weights = arguments

        def sums(with_gradients):
            return _sums_over_chunks(*inputs, weights, targets, chunk_size, with_gradients)

        total, losses, *gradients = sums(with_gradients=training)

        def gradient(upstream):
            made = gradients if training else sums(with_gradients=True)[2:]
            by_inputs = (tf.cast(upstream * g, a.dtype) for g, a in zip(made, inputs, strict=True))
            return (*by_inputs, upstream * losses)

        return total, gradient

    return total_loss(hidden, embedding, bias, weights), tf.reduce_sum(weights)


def _sums_over_chunks(hidden, embedding, bias, weights, targets, chunk_size, with_gradients):
    """Sums over chunks of tokens.

    Returns:
        list of the total of weight * nats and the nats of each token; `with_gradients` also the
        gradients of the total by `hidden`, `embedding` and `bias`, in the dtype of `bias`.
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
        some_hidden, some_targets, some_weights = (
            tensor[start:end] for tensor in (hidden, targets, weights)
        )
        some, probabilities = _softmax(some_hidden, embedding, bias, some_targets)
        total = total + tf.reduce_sum(some * some_weights)
        if gradients:
            d_hidden, d_embedding, d_bias = gradients
            some_d_hidden, more_d_embedding, more_d_bias = _softmax_gradient(
                some_hidden, embedding, some_targets, probabilities, some_weights
            )
            gradients = [
                tf.concat([d_hidden, tf.cast(some_d_hidden, dtype)], axis=0),
                d_embedding + tf.cast(more_d_embedding, dtype),
                d_bias + more_d_bias,
            ]
        return [end, total, tf.concat([losses, some], axis=0), *gradients]

    _, *sums = tf.while_loop(
        lambda start, *_: start < num_tokens,
        add_chunk,
        [tf.constant(0), *sums],
        shape_invariants=[tf.TensorShape(()), *shapes],
        parallel_iterations=1,
    )
    return sums


def _softmax(hidden, embedding, bias, targets):
    """Nats of each token, and the probabilities of all words.

    The library's fused operation of softmax and loss takes three times as long as its softmax.
    """
    logits = tf.cast(tf.matmul(hidden, embedding, transpose_b=True), bias.dtype)
    logits = tf.nn.bias_add(logits, bias)
    probabilities = tf.nn.softmax(logits)
    of_targets = tf.gather(probabilities, targets, batch_dims=1)

    def nats_where_some_vanish():
        largest, likeliest = (tf.reduce_max(x, axis=1) for x in (logits, probabilities))
        return largest - tf.math.log(likeliest) - tf.gather(logits, targets, batch_dims=1)

    nats = tf.cond(
        tf.reduce_all(of_targets > _LEAST_PROBABILITY),
        lambda: -tf.math.log(of_targets),
        nats_where_some_vanish,
    )
    return nats, probabilities


def _softmax_gradient(hidden, embedding, targets, probabilities, upstream):
    """Gradients by hidden, embedding and bias, for an upstream gradient of each token's nats.

    d_logits = (probabilities - one_hot(targets)) * upstream; the row's factor `upstream` goes to
    the other side of each product, whose rows are shorter.
    """
    rows = tf.range(tf.shape(targets)[0])
    places = tf.stack([rows, targets], axis=1)
    d_logits = tf.tensor_scatter_nd_sub(probabilities, places, tf.ones_like(upstream))
    d_bias = tf.linalg.matvec(d_logits, upstream, transpose_a=True)
    d_logits = tf.cast(d_logits, hidden.dtype)
    factors = tf.cast(upstream, hidden.dtype)[:, tf.newaxis]
    d_hidden = tf.matmul(d_logits, embedding) * factors
    return d_hidden, tf.matmul(d_logits, hidden * factors, transpose_a=True), d_bias
