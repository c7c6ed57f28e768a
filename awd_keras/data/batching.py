"""A text cut into columns, and the columns into windows of variable length."""

import numbers

import numpy as np


def batchify(ids, batch_size):
    """Cuts a text into `batch_size` columns that are read side by side.

    Each column is a contiguous piece of the text, and column `k + 1` begins where column `k`
    ends. The letters of the alphabet in 4 columns, time running downwards:

    ```
    a g m s
    b h n t
    c i o u
    d j p v
    e k q w
    f l r x
    ```

    The columns are learned as if they were independent: that `g` follows `f` is not seen. What
    does not fill a whole row (`y` and `z`) is trimmed off. The result is batch-major, so a
    column of the picture is a row of the array.

    Args:
        ids: The text, a one-dimensional sequence of integers.
        batch_size: The number of columns.

    Returns:
        An int32 array of shape `(batch_size, len(ids) // batch_size)`. Its rows have one id
        more than there are steps to predict.

    Raises:
        ValueError: If `ids` are not integers in one dimension, or too few to give each column
            two of them: one to read and one to predict.

    Example:

    >>> batchify(range(11), batch_size=2)
    array([[0, 1, 2, 3, 4],
           [5, 6, 7, 8, 9]], dtype=int32)
    """
    _check_integer("batch_size", batch_size, minimum=1)
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(
            "`ids` must be a one-dimensional sequence of integers. "
            f"Received: an array of shape {ids.shape} and type {ids.dtype}"
        )
    num_steps = len(ids) // batch_size
    if num_steps < 2:
        raise ValueError(
            f"A text of {len(ids)} tokens is too short for batch_size={batch_size}: each column "
            f"needs at least 2 tokens, so {2 * batch_size} in all. Use a longer text or a "
            "smaller batch."
        )
    return ids[: num_steps * batch_size].reshape(batch_size, num_steps).astype(np.int32)


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
    """Draws the lengths of the windows of one epoch (variable-length BPTT).

    With windows of one fixed length the same positions would end a window in every epoch, and
    never get a gradient from the words after them. So the base length is `bptt` with
    probability `bptt_full_probability`, otherwise `bptt / 2`, and the length of a window is
    drawn from a normal distribution around it and rounded down. The loop multiplies the
    learning rate of a window's step by its length / `bptt`.

    The lengths depend on the arguments alone: nothing random needs saving to resume a run.

    Args:
        num_steps: The number of steps to predict: the length of a column minus 1, since the
            first token of a column is only read and never predicted.
        bptt: The base length (`--bptt` of the authors' code; the paper's is 70).
        seed: An integer, at least 0. The run's seed.
        epoch: An integer, at least 0. Each epoch has windows of its own.
        bptt_std: The standard deviation of the length, 5 in the paper.
        bptt_min: The smallest length, 5 in the authors' code. Where it is more than the drawn
            length, it wins.
        bptt_full_probability: The probability that the base length is the whole `bptt`, 0.95 in
            the paper. With 1, and `bptt_std=0`, all windows have the length `bptt`.
        bptt_max: The largest length, which bounds memory, or `None` (the paper) for no bound.

    Returns:
        A list of integers that sum to `num_steps`. The last may be shorter than `bptt_min`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> bptt_windows(100, bptt=30, seed=1, epoch=0, bptt_std=0, bptt_full_probability=1)
    [30, 30, 30, 10]
    """
    _check_integer("num_steps", num_steps, minimum=1)
    _check_integer("bptt", bptt, minimum=1)
    _check_integer("seed", seed, minimum=0)
    _check_integer("epoch", epoch, minimum=0)
    _check_integer("bptt_min", bptt_min, minimum=1)
    if bptt_max is not None:
        _check_integer("bptt_max", bptt_max, minimum=1)
        if bptt_max < bptt_min:
            raise ValueError(
                "`bptt_max` must be at least `bptt_min`. "
                f"Received: bptt_max={bptt_max}, bptt_min={bptt_min}"
            )
    # Written so that NaN fails too.
    if not (_is_real(bptt_std) and 0 <= bptt_std < float("inf")):
        raise ValueError(f"`bptt_std` must be a number, at least 0. Received: bptt_std={bptt_std}")
    if not (_is_real(bptt_full_probability) and 0 <= bptt_full_probability <= 1):
        raise ValueError(
            "`bptt_full_probability` must be a number from 0 to 1. "
            f"Received: bptt_full_probability={bptt_full_probability}"
        )

    # The epoch is a spawn key, not a second word of entropy: no two pairs can then collide.
    sequence = np.random.SeedSequence(int(seed), spawn_key=(int(epoch),))
    generator = np.random.default_rng(sequence)
    lengths = []
    remaining = int(num_steps)
    while remaining:
        base = bptt if generator.random() < bptt_full_probability else bptt / 2
        length = max(int(bptt_min), int(generator.normal(base, bptt_std)))
        if bptt_max is not None:
            length = min(length, int(bptt_max))
        length = min(length, remaining)
        lengths.append(length)
        remaining -= length
    return lengths


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _check_integer(name, value, minimum):
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < minimum:
        raise ValueError(
            f"`{name}` must be an integer, at least {minimum}. Received: {name}={value!r}"
        )
