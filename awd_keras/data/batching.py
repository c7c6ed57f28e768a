"""Cuts a text into columns, and columns into windows of variable length."""

import numpy as np


def batchify(ids, batch_size):
    """Cuts a text into `batch_size` contiguous columns.

    The columns are independent: the model does not see that each one continues in the next. The
    remainder is dropped. The result is batch-major, so a column is a row of the array.

    Args:
        ids: The text, a one-dimensional sequence of integers.
        batch_size: The number of columns.

    Returns:
        An int32 array of shape `(batch_size, len(ids) // batch_size)`. Each row has one more id
        than there are steps to predict.

    Raises:
        ValueError: If there are fewer than two ids per column, one to read and one to predict.

    Example:

    >>> batchify(range(11), batch_size=2)
    array([[0, 1, 2, 3, 4],
           [5, 6, 7, 8, 9]], dtype=int32)
    """
    ids = np.array(ids, np.int32)
    if batch_size < 1 or len(ids) < 2 * batch_size:
        raise ValueError(
            "The text must have at least two tokens per column. "
            f"Received: {len(ids)} tokens, batch_size={batch_size}"
        )
    num_steps = len(ids) // batch_size
    return ids[: num_steps * batch_size].reshape(batch_size, num_steps)


def bptt_windows(
    num_steps,
    bptt,
    seed,
    epoch,
    bptt_std=5,
    bptt_min=5,
    bptt_full_probability=0.95,
    bptt_max=None,
):
    """Draws the window lengths of an epoch (variable-length BPTT, section 4.1 of the paper).

    With a fixed length, windows would end at the same positions in every epoch, and the words there
    would never receive a gradient from the words that follow. Lengths are therefore drawn from a
    normal distribution and rounded down; its mean is `bptt` with probability
    `bptt_full_probability` and `bptt / 2` otherwise. The training loop scales the learning rate of
    each window by its length divided by `bptt`. Lengths depend only on the arguments, so a resumed
    run draws the same ones.

    Args:
        num_steps: The number of steps to predict, one less than the length of a column.
        bptt: The base length, 70 in the paper.
        seed: Non-negative integer.
        epoch: Non-negative integer. Each epoch has its own lengths.
        bptt_std: Standard deviation of the length. Defaults to 5, as in the paper.
        bptt_min: Minimum length. Defaults to 5, as in the authors' code.
        bptt_full_probability: Probability that the mean length is `bptt`. Defaults to 0.95, as in
            the paper. With 1 and `bptt_std=0`, all windows have length `bptt`.
        bptt_max: Maximum length, which limits memory use. Defaults to no maximum, as in the paper.

    Returns:
        A list of integers that sum to `num_steps`. The last may be less than `bptt_min`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> bptt_windows(100, bptt=30, seed=1, epoch=0, bptt_std=0, bptt_full_probability=1)
    [30, 30, 30, 10]
    """
    if min(num_steps, bptt, bptt_min) < 1 or bptt_max is not None and bptt_max < bptt_min:
        raise ValueError(
            "`num_steps`, `bptt` and `bptt_min` must be positive, and `bptt_max` at least "
            f"`bptt_min`. Received: num_steps={num_steps}, bptt={bptt}, bptt_min={bptt_min}, "
            f"bptt_max={bptt_max}"
        )
    # A spawn key keeps different pairs of seed and epoch from colliding.
    sequence = np.random.SeedSequence(int(seed), spawn_key=(int(epoch),))
    generator = np.random.default_rng(sequence)
    lengths = []
    remaining = int(num_steps)
    while remaining:
        mean = bptt if generator.random() < bptt_full_probability else bptt / 2
        length = max(bptt_min, int(generator.normal(mean, bptt_std)))
        length = min(length, remaining, bptt_max or remaining)
        lengths.append(length)
        remaining -= length
    return lengths


def padded_lengths(bptt, bptt_std=5, bptt_min=5, bptt_max=None):
    """Chooses the lengths to which windows are padded for a compiler that needs fixed lengths.

    The arguments are those of `bptt_windows`. No window is longer than the largest length, apart
    from draws beyond ten standard deviations.

    Returns:
        An increasing tuple of at most eight integers. Padding to the next of them adds about 3% to
        the steps of windows with the paper's lengths.

    Example:

    >>> padded_lengths(70)
    (45, 65, 68, 72, 75, 80, 90, 120)
    """
    lengths = [bptt / 2 + 2 * bptt_std]
    lengths += [bptt + z * bptt_std for z in (-1.0, -0.3, 0.4, 1.1, 2.0, 4.0, 10.0)]
    lengths = [min(max(int(length), bptt_min), bptt_max or int(length)) for length in lengths]
    return tuple(sorted(set(lengths)))
