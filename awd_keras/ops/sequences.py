"""Time axes and masks of sequences: what the recurrent operations have in common."""

import tensorflow as tf


def run_time_major(run, inputs, mask, lengths, time_major):
    """Runs a recurrence that takes time-major inputs without holes.

    Args:
        run: Function of `(inputs, lengths)`, time-major inputs and the number of steps of each row
            (or `None`: all), that returns time-major outputs and final states.
        inputs, mask, lengths, time_major: As in `ops.lstm`.

    Returns:
        A tuple of the outputs, with the time axis of the inputs, and the final states.
    """
    if not time_major:
        inputs = tf.transpose(inputs, (1, 0, 2))
    if mask is not None:
        mask = tf.cast(mask, tf.bool)
        if time_major:
            mask = tf.transpose(mask)
        inputs, lengths = _pack(inputs, mask)
    outputs, *states = run(inputs, lengths)
    if mask is not None:
        outputs = _unpack(outputs, mask)
    if not time_major:
        outputs = tf.transpose(outputs, (1, 0, 2))
    return outputs, *states


def take_steps(sequence, steps):
    """Gathers `steps` of shape `(batch_size, n)` from the rows of a time-major sequence."""
    by_row = tf.transpose(sequence, (1, 0, 2))
    return tf.transpose(tf.gather(by_row, steps, batch_dims=1), (1, 0, 2))


def _pack(inputs, mask):
    """Moves the unmasked steps of each row to its start, since kernels skip only trailing steps.

    Returns the packed inputs, and the number of unmasked steps of each row.
    """
    timesteps = tf.shape(mask)[1]
    steps = tf.range(timesteps)
    order = tf.argsort(tf.where(mask, steps, steps + timesteps), axis=1)
    return take_steps(inputs, order), tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)


def _unpack(outputs, mask):
    """Moves outputs back to their steps; masked steps repeat the previous output."""
    seen = tf.cumsum(tf.cast(mask, tf.int32), axis=1)
    unpacked = take_steps(tf.pad(outputs, [[1, 0], [0, 0], [0, 0]]), seen)
    unpacked.set_shape(outputs.shape)
    return unpacked
