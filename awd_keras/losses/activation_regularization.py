"""AR and TAR, the penalties on activations (section 4.6 of the paper).

The paper prints an L2 norm; the authors' code takes the mean of squares over all elements, and so
do we: its weights 2 and 1 belong to that mean.
"""

import tensorflow as tf


def activation_regularization(dropped, alpha):
    """AR: keeps activations small.

    Args:
        dropped: tensor (batch_size, timesteps, features): outputs of the last LSTM after dropout.
        alpha: weight, 2 in the paper (the authors' `alpha`).

    Returns:
        `alpha * mean(dropped ** 2)`, a scalar in float32 (float64 for float64 inputs).

    Example:

    >>> float(activation_regularization(tf.fill((1, 2, 3), 2.0), alpha=2.0))
    8.0
    """
    return alpha * _mean_of_squares(_wide(dropped))


def temporal_activation_regularization(raw, beta, time_major=False):
    """TAR: keeps the state from changing fast.

    Args:
        raw: tensor (batch_size, timesteps, features): outputs of the last LSTM before dropout.
        beta: weight, 1 in the paper (the authors' `beta`).
        time_major: whether time is the first axis of `raw`.

    Returns:
        `beta * mean((raw[:, 1:] - raw[:, :-1]) ** 2)`, a scalar in float32 (float64 for float64
        inputs); 0 for a single time step.

    Example:

    >>> float(temporal_activation_regularization(tf.constant([[[1.0], [3.0]]]), beta=1.0))
    4.0
    """
    raw = _wide(raw)
    changes = raw[1:] - raw[:-1] if time_major else raw[:, 1:] - raw[:, :-1]
    return beta * _mean_of_squares(changes)


def _wide(x):
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def _mean_of_squares(x):
    # Not reduce_mean: over no elements, one time step has none, it would give NaN.
    count = tf.cast(tf.maximum(tf.size(x), 1), x.dtype)
    return tf.reduce_sum(x * x) / count
