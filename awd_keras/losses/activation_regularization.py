"""AR and TAR, the penalties on activations (section 4.6 of the paper).

The paper specifies an L2 norm. These functions compute the mean of squares, as the authors' code
does; the paper's weights of 2 and 1 apply to the mean of squares.
"""

import tensorflow as tf


def activation_regularization(dropped, alpha, mask=None):
    """Activation regularization (AR), which keeps activations small.

    Args:
        dropped: Tensor of shape `(batch_size, timesteps, features)`, the outputs of the last LSTM
            after dropout.
        alpha: Weight of the penalty, 2 in the paper (`--alpha` in the authors' code).
        mask: `None`, or a boolean tensor of shape `(batch_size, timesteps)`. Steps where it is
            False, such as padding, are ignored.

    Returns:
        `alpha * mean(dropped ** 2)`, a scalar in float32 (float64 for float64 inputs).

    Example:

    >>> float(activation_regularization(tf.fill((1, 2, 3), 2.0), alpha=2.0))
    8.0
    """
    return alpha * _mean_of_squares(_widen(dropped), mask)


def temporal_activation_regularization(raw, beta, time_major=False, mask=None):
    """Temporal activation regularization (TAR), which keeps the state from changing too quickly.

    Args:
        raw: Tensor of shape `(batch_size, timesteps, features)`, the outputs of the last LSTM
            before dropout.
        beta: Weight of the penalty, 1 in the paper (`--beta` in the authors' code).
        time_major: Whether `raw` and `mask` have time as their first axis. Defaults to False.
        mask: `None`, or a boolean tensor of shape `(batch_size, timesteps)`. Changes from or to a
            step where it is False are ignored.

    Returns:
        `beta * mean((raw[:, 1:] - raw[:, :-1]) ** 2)`, a scalar in float32 (float64 for float64
        inputs); 0 for a single time step.

    Example:

    >>> float(temporal_activation_regularization(tf.constant([[[1.0], [3.0]]]), beta=1.0))
    4.0
    """
    before, after = _neighbors(_widen(raw), time_major)
    if mask is not None:
        mask_before, mask_after = _neighbors(tf.cast(mask, tf.bool), time_major)
        mask = mask_before & mask_after
    return beta * _mean_of_squares(after - before, mask)


def _neighbors(x, time_major):
    return (x[:-1], x[1:]) if time_major else (x[:, :-1], x[:, 1:])


def _widen(x):
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def _mean_of_squares(x, mask):
    # Not tf.reduce_mean, which returns NaN where there are no elements.
    if mask is None:
        count = tf.cast(tf.maximum(tf.size(x), 1), x.dtype)
        return tf.reduce_sum(x * x) / count
    mask = tf.cast(mask, x.dtype)
    count = tf.reduce_sum(mask) * tf.cast(tf.shape(x)[-1], x.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(x * x * mask[..., tf.newaxis]), count)
