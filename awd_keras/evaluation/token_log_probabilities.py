"""What a model says of each word of a text, window by window."""

import tensorflow as tf

# What a window has at most: tokens, and logits or similarities. The result depends on neither.
_TOKENS = 2000
_ELEMENTS = 64 * 2**20
# Similarities are (tokens) x (tokens + entries of the cache): more tokens than entries are mostly
# wasted, and few tokens leave the processor idle.
_LEAST_CACHE_TOKENS = 100


def predict_window(model, inputs, targets, states):
    """Reads a window of a text and predicts the words that follow.

    Args:
        model: an `AWDLSTMLanguageModel`, or a model with its `backbone` and `decoder`.
        inputs: int32 tensor (batch_size, timesteps).
        targets: int32 tensor (batch_size, timesteps): the word after each.
        states: as `model.initial_state` returns them.

    Returns:
        `(log_probabilities, logits, hidden, states)`: of the targets, (batch_size, timesteps);
        of all words, (batch_size, timesteps, vocabulary_size); the outputs of the last layer, and
        the final states. Log-probabilities and logits are in float32 (float64 for such a model).
    """
    hidden, outputs, states = model.backbone(inputs, states, training=False)
    logits = model.decoder(outputs)
    of_targets = tf.gather(logits, targets, batch_dims=2)
    return of_targets - tf.reduce_logsumexp(logits, axis=-1), logits, hidden, states


def make_predict_step(model):
    """`predict_window` of a model as a `tf.function` of (inputs, targets, states), traced once."""
    return tf.function(
        lambda inputs, targets, states: predict_window(model, inputs, targets, states),
        input_signature=window_signature(model),
    )


def window_signature(model):
    """The signature of (inputs, targets, states) for windows of any length and batch size."""
    token_ids = tf.TensorSpec((None, None), tf.int32)
    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, state.shape[1]), state.dtype), model.initial_state(1)
    )
    return [token_ids, token_ids, states]


def window_length(batch_size, vocabulary_size, cache_window=None):
    """How many time steps to take at once.

    Args:
        batch_size: columns of the text.
        vocabulary_size: number of words.
        cache_window: None, or the size of the cache that is used.

    Returns:
        a number of at least 1, such that the logits of a window, and its similarities to the
        cache, fit in 256 MiB each if they can.

    Example:

    >>> window_length(10, 10_000), window_length(10, 267_735), window_length(1, 10_000, 500)
    (200, 25, 500)
    """
    tokens = min(_TOKENS, _ELEMENTS // vocabulary_size)
    if cache_window is not None:
        most = _ELEMENTS // (cache_window + _TOKENS)
        tokens = min(tokens, max(_LEAST_CACHE_TOKENS, cache_window), most)
    return max(1, tokens // batch_size)


def read_windows(step, columns, states, length):
    """Reads a text in windows, the states carried from one to the next.

    Args:
        step: function of (inputs, targets, states) whose last result is the new states.
        columns: int32 array (batch_size, num_steps + 1), as `batchify` makes it.
        states: the states to begin with.
        length: time steps of a window.

    Yields:
        for each window `(targets, ...)`: an array (batch_size, timesteps), and the results of
        `step` but the states.
    """
    num_steps = columns.shape[1] - 1
    for start in range(0, num_steps, length):
        end = min(start + length, num_steps)
        targets = columns[:, start + 1 : end + 1]
        *results, states = step(tf.constant(columns[:, start:end]), tf.constant(targets), states)
        yield targets, *results
