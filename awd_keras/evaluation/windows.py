"""Reads a text window by window."""

import tensorflow as tf

# Maximum numbers of tokens (matmuls get no faster with more) and of logits (256 MiB) in a window.
_WINDOW_TOKENS = 4096
_WINDOW_LOGITS = 64 * 2**20


def window_length(batch_size, vocabulary_size):
    """Returns the number of time steps in a window whose logits are stored."""
    return max(1, min(_WINDOW_TOKENS, _WINDOW_LOGITS // vocabulary_size) // batch_size)


def read_windows(step, columns, states, length):
    """Calls a function on each window of a text and carries the states along.

    Args:
        step: Function of `(inputs, targets, states)` whose last result is the new states.
        columns: The text, as returned by `batchify`.
        states: The initial states.
        length: Time steps of a window. The last window may be shorter.

    Yields:
        The targets, an array of shape `(batch_size, timesteps)`, and the other results of `step`.
    """
    num_steps = columns.shape[1] - 1
    for start in range(0, num_steps, length):
        end = min(start + length, num_steps)
        targets = columns[:, start + 1 : end + 1]
        *results, states = step(tf.constant(columns[:, start:end]), tf.constant(targets), states)
        yield targets, *results


def predict_window(model, inputs, targets, states):
    """Predicts the word after each input of a window.

    Returns:
        `(log_probabilities, logits, hidden, states)`: log-probabilities of the targets and logits
        of all words, in float32 (float64 for a float64 model); the outputs of the last layer; and
        the final states.
    """
    hidden, outputs, states = model.backbone(inputs, states, training=False)
    logits = model.decoder(outputs)
    target_logits = tf.gather(logits, targets, batch_dims=2)
    return target_logits - tf.reduce_logsumexp(logits, axis=-1), logits, hidden, states
