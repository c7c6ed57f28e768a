"""Softmax cross-entropy over a large vocabulary."""

import tensorflow as tf

# Number of logits in memory at once: 838 tokens with the 10,000 words of Penn Treebank. Each chunk
# adds to the gradient of the whole matrix, so a few large chunks are fastest.
_CHUNK_ELEMENTS = 8 * 2**20
_MIN_CHUNK = 128


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
    num_chunks = tf.maximum(-(-tf.size(targets) // chunk_size), 1)

    @tf.custom_gradient
    def total_loss(*arguments):
        *inputs, weights = arguments

        def sums(with_gradients):
            return _sums_over_chunks(*inputs, weights, targets, num_chunks, with_gradients)

        total, losses, *gradients = sums(with_gradients=training)

        def gradient(upstream):
            computed = gradients if training else sums(with_gradients=True)[2:]
            scaled = (tf.cast(upstream * g, x.dtype) for g, x in zip(computed, inputs, strict=True))
            return (*scaled, upstream * losses)

        return total, gradient

    return total_loss(hidden, embedding, bias, weights), tf.reduce_sum(weights)


def _sums_over_chunks(hidden, embedding, bias, weights, targets, num_chunks, with_gradients):
    """Returns the total weighted loss and the loss of each token.

    With `with_gradients`, also returns the gradients of the total with respect to `hidden`,
    `embedding` and `bias`.
    """
    num_tokens, dtype = tf.shape(targets)[0], bias.dtype
    chunk_size = -(-num_tokens // num_chunks)
    padding = num_chunks * chunk_size - num_tokens

    # XLA needs chunks of the same size. The added tokens have weight 0.
    def in_chunks(x):
        x = tf.pad(x, [[0, padding]] + [[0, 0]] * (x.shape.rank - 1))
        return tf.reshape(x, (num_chunks, chunk_size, *x.shape[1:]))

    chunks = [in_chunks(x) for x in (hidden, targets, weights)]
    arrays = [tf.TensorArray(dtype, num_chunks, element_shape=(None,))]
    sums = []
    if with_gradients:
        arrays += [tf.TensorArray(dtype, num_chunks, element_shape=(None, hidden.shape[1]))]
        sums = [tf.zeros(embedding.shape, dtype), tf.zeros_like(bias)]

    def add_chunk(index, arrays, sums):
        chunk_hidden, chunk_targets, chunk_weights = (x[index] for x in chunks)
        losses, probabilities = _softmax(chunk_hidden, embedding, bias, chunk_targets)
        of_tokens = [losses]
        if with_gradients:
            d_hidden, *terms = _softmax_gradient(
                chunk_hidden, embedding, chunk_targets, probabilities, chunk_weights
            )
            of_tokens += [tf.cast(d_hidden, dtype)]
            sums = [x + tf.cast(term, dtype) for x, term in zip(sums, terms, strict=True)]
        arrays = [a.write(index, x) for a, x in zip(arrays, of_tokens, strict=True)]
        return index + 1, arrays, sums

    _, arrays, sums = tf.while_loop(
        lambda index, *_: index < num_chunks,
        add_chunk,
        (tf.constant(0), arrays, sums),
        parallel_iterations=1,
    )
    losses, *d_hidden = (array.concat()[:num_tokens] for array in arrays)
    return [tf.reduce_sum(losses * weights), losses, *d_hidden, *sums]


def _softmax(hidden, embedding, bias, targets):
    """Returns the loss of each token in nats, and the probabilities of all words.

    TensorFlow's fused softmax cross-entropy takes three times as long as its softmax.
    """
    logits = tf.cast(tf.matmul(hidden, embedding, transpose_b=True), bias.dtype)
    logits = tf.nn.bias_add(logits, bias)
    probabilities = tf.nn.softmax(logits)
    max_logit, max_probability = (tf.reduce_max(x, axis=1) for x in (logits, probabilities))
    # The probability of the target may be 0 in float32, that of the most probable word is not.
    log_sum = max_logit - tf.math.log(max_probability)
    losses = log_sum - tf.gather(logits, targets, batch_dims=1)
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
