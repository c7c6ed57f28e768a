import itertools

import numpy as np
import pytest

from awd_keras.data import batchify, bptt_windows


def test_rows_are_contiguous_pieces_in_order():
    batch = batchify(np.arange(26), batch_size=4)
    assert batch.dtype == np.int32
    assert batch.shape == (4, 6)
    # Read row after row, it is the text without its last two tokens.
    np.testing.assert_array_equal(batch.ravel(), np.arange(24))
    np.testing.assert_array_equal(batch[1], np.arange(6, 12))


def test_batch_of_one_is_the_whole_text():
    np.testing.assert_array_equal(batchify([5, 3, 9], batch_size=1), [[5, 3, 9]])


def test_batchify_copies():
    ids = np.arange(4, dtype=np.int32)
    batchify(ids, batch_size=2)[0, 0] = 7
    assert ids[0] == 0


def test_too_short_a_text():
    assert batchify(range(8), batch_size=4).shape == (4, 2)
    with pytest.raises(ValueError, match="7 tokens.*batch_size=4.*8 in all"):
        batchify(range(7), batch_size=4)
    with pytest.raises(ValueError, match="0 tokens"):
        batchify([], batch_size=1)


@pytest.mark.parametrize("ids", [np.zeros((2, 9), np.int32), np.zeros(9), ["a"] * 9])
def test_batchify_refuses_other_ids(ids):
    with pytest.raises(ValueError, match="one-dimensional sequence of integers"):
        batchify(ids, batch_size=2)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True])
def test_batchify_refuses_bad_batch_sizes(batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        batchify(range(100), batch_size=batch_size)


@pytest.mark.parametrize("num_steps", [1, 4, 5, 70, 999, 46_478])
def test_windows_cover_every_target_exactly_once(num_steps):
    column = np.arange(num_steps + 1)
    inputs, targets, start = [], [], 0
    for length in bptt_windows(num_steps, bptt=70, seed=3, epoch=2):
        assert isinstance(length, int) and length > 0
        inputs.extend(column[start : start + length])
        targets.extend(column[start + 1 : start + 1 + length])
        start += length
    np.testing.assert_array_equal(inputs, column[:-1])
    np.testing.assert_array_equal(targets, column[1:])


def test_windows_are_a_function_of_seed_and_epoch():
    def draw(seed, epoch):
        return bptt_windows(5000, bptt=70, seed=seed, epoch=epoch)

    assert draw(1, 2) == draw(1, 2)
    drawn = [draw(seed, epoch) for seed in range(4) for epoch in range(4)]
    assert all(first != second for first, second in itertools.combinations(drawn, 2))


def test_lengths_have_the_papers_distribution():
    lengths = np.array(bptt_windows(2_000_000, bptt=70, seed=0, epoch=0)[:-1])
    short = lengths < 52.5
    # 29,000 windows: the tolerances are four standard errors and more.
    assert short.mean() == pytest.approx(0.05, abs=0.006)
    # Rounding down takes half a step off the mean.
    assert lengths[~short].mean() == pytest.approx(69.5, abs=0.15)
    assert lengths[short].mean() == pytest.approx(34.5, abs=0.6)
    assert lengths[~short].std() == pytest.approx(5, abs=0.15)


def test_bounds_of_the_length():
    lengths = bptt_windows(100_000, bptt=8, seed=0, epoch=0, bptt_min=6, bptt_max=9)
    assert set(lengths[:-1]) == {6, 7, 8, 9}
    assert min(bptt_windows(100_000, bptt=8, seed=0, epoch=0)[:-1]) == 5
    assert max(bptt_windows(100_000, bptt=70, seed=0, epoch=0)) > 80


def test_base_length_alone():
    fixed = dict(seed=0, epoch=0, bptt_std=0)
    assert bptt_windows(200, bptt=70, bptt_full_probability=1, **fixed) == [70, 70, 60]
    assert bptt_windows(80, bptt=71, bptt_full_probability=0, **fixed) == [35, 35, 10]
    assert bptt_windows(13, bptt=3, bptt_full_probability=1, **fixed) == [5, 5, 3]


def test_only_variable_lengths_give_every_position_a_later_gradient():
    # A position at the end of a window gets a gradient from its own target alone. It gets one
    # from later targets in those epochs in which another position ends the window.
    num_steps, epochs = 500, 30

    def without_later_gradient(**settings):
        positions = set(range(num_steps - 1))  # the last target of all has none after it
        for epoch in range(epochs):
            lengths = bptt_windows(num_steps, bptt=20, seed=0, epoch=epoch, **settings)
            positions &= {end - 1 for end in itertools.accumulate(lengths)}
        return positions

    fixed = without_later_gradient(bptt_std=0, bptt_full_probability=1)
    assert fixed == set(range(19, num_steps - 1, 20))
    assert without_later_gradient() == set()


@pytest.mark.parametrize(
    "argument, value",
    [
        ("num_steps", 0),
        ("num_steps", 10.0),
        ("bptt", 0),
        ("bptt", 35.5),
        ("seed", -1),
        ("seed", None),
        ("epoch", -1),
        ("bptt_std", -1),
        ("bptt_std", float("nan")),
        ("bptt_std", float("inf")),
        ("bptt_std", "5"),
        ("bptt_min", 0),
        ("bptt_full_probability", 1.1),
        ("bptt_full_probability", -0.1),
        ("bptt_full_probability", float("nan")),
        ("bptt_max", 0),
        ("bptt_max", 4),
    ],
)
def test_bad_arguments_are_named(argument, value):
    arguments = dict(num_steps=100, bptt=70, seed=0, epoch=0) | {argument: value}
    with pytest.raises(ValueError, match=f"`{argument}`.*Received: {argument}={value!s}|'5'"):
        bptt_windows(**arguments)


def test_numpy_integers_are_integers():
    one = np.int64(1)
    assert bptt_windows(np.int64(50), np.int32(7), seed=one, epoch=one) == bptt_windows(
        50, 7, seed=1, epoch=1
    )
