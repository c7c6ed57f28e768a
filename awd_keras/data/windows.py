"""Converts a text to a `tf.data.Dataset` of windows, for `fit` and `evaluate`."""

import random

import tensorflow as tf

from awd_keras.data.batching import batchify, bptt_windows

# Tokens per window without `bptt`.
_WINDOW_TOKENS = 2000


class WindowSchedule:
    """The lengths of the windows of each epoch.

    Args:
        num_steps, bptt, seed, **kwargs: Passed to `bptt_windows`.

    Attributes:
        bptt: The base length.
        epoch: The epoch of the next iteration over the dataset, initially 0. `fit` sets it.
    """

    def __init__(self, num_steps, bptt, seed, **kwargs):
        self._arguments = {"num_steps": num_steps, "bptt": bptt, "seed": seed, **kwargs}
        self.bptt = bptt
        self.epoch = 0
        self.lengths(epoch=0)  # raises an error for invalid arguments

    def lengths(self, epoch):
        """Returns the lengths of the windows of an epoch, a list of integers."""
        return bptt_windows(epoch=epoch, **self._arguments)


def window_dataset(token_ids, batch_size, bptt=None, seed=None, **kwargs):
    """Cuts a text into columns, and the columns into windows that are read in order.

    Args:
        token_ids: Integer array of shape `(num_tokens,)`.
        batch_size: Number of columns.
        bptt: Base length of windows of random length, for training (see `bptt_windows`). With
            `None` (the default), for evaluation, all windows but the last have the same length.
        seed: Non-negative integer that determines the windows of each epoch, or `None` (the
            default) for a random seed. Has no effect without `bptt`.
        **kwargs: Passed to `bptt_windows`, such as `bptt_max`.

    Returns:
        A `tf.data.Dataset` of `(inputs, targets)`, int32 tensors of shape `(batch_size, length)`;
        the targets are the inputs shifted by one. With `bptt`, it has an attribute `schedule`, a
        `WindowSchedule`, and each epoch of `AWDLSTMLanguageModel.fit` draws its own windows.

    Raises:
        ValueError: If the text is too short for the batch size, or an argument is out of range.

    Example:

    >>> for inputs, targets in window_dataset(range(9), batch_size=2):
    ...     print(inputs.numpy().tolist(), targets.numpy().tolist())
    [[0, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]]
    """
    columns = batchify(token_ids, batch_size)
    num_steps = columns.shape[1] - 1
    if bptt is None:
        length = max(1, _WINDOW_TOKENS // batch_size)
        fixed = [min(length, num_steps - start) for start in range(0, num_steps, length)]
    else:
        seed = random.randrange(2**31) if seed is None else seed
        schedule = WindowSchedule(num_steps, bptt, seed, **kwargs)

    def generate():
        start = 0
        for length in fixed if bptt is None else schedule.lengths(schedule.epoch):
            end = start + length
            yield columns[:, start:end], columns[:, start + 1 : end + 1]
            start = end

    spec = tf.TensorSpec((batch_size, None), tf.int32)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=(spec, spec))
    if bptt is None:
        return dataset.apply(tf.data.experimental.assert_cardinality(len(fixed)))
    dataset.schedule = schedule
    return dataset
