import itertools

import numpy as np
import pytest

from awd_keras.data import batchify, bptt_windows
from awd_keras.data.batching import padded_lengths


def test_rows_are_contiguous_pieces_of_the_text():
    ids = np.arange(26, dtype=np.int32)
    batch = batchify(ids, batch_size=4)
    assert batch.dtype == np.int32
    np.testing.assert_array_equal(batch, ids[:24].reshape(4, 6))
    batch[0, 0] = 7
    assert ids[0] == 0


def test_a_column_needs_two_tokens():
    assert batchify(range(8), batch_size=4).shape == (4, 2)
    for num_tokens, batch_size in ((7, 4), (0, 1), (100, 0)):
        with pytest.raises(ValueError, match=f"{num_tokens} tokens, batch_size={batch_size}"):
            batchify(range(num_tokens), batch_size)


@pytest.mark.parametrize("num_steps", [1, 4, 70, 46_478])
def test_windows_cover_the_text(num_steps):
    lengths = bptt_windows(num_steps, bptt=70, seed=3, epoch=2)
    assert all(isinstance(length, int) and length > 0 for length in lengths)
    assert sum(lengths) == num_steps


def test_windows_are_a_function_of_seed_and_epoch():
    def draw(seed, epoch):
        return bptt_windows(5000, bptt=70, seed=seed, epoch=epoch)

    assert draw(1, 2) == draw(1, 2)
    drawn = [draw(seed, epoch) for seed in range(4) for epoch in range(4)]
    assert all(first != second for first, second in itertools.combinations(drawn, 2))


def test_lengths_have_the_distribution_of_the_paper():
    lengths = np.array(bptt_windows(2_000_000, bptt=70, seed=0, epoch=0)[:-1])
    short = lengths < 52.5
    # 29,000 windows: the tolerances are at least four standard errors.
    assert short.mean() == pytest.approx(0.05, abs=0.006)
    # Rounding down reduces the mean by one half.
    assert lengths[~short].mean() == pytest.approx(69.5, abs=0.15)
    assert lengths[short].mean() == pytest.approx(34.5, abs=0.6)
    assert lengths[~short].std() == pytest.approx(5, abs=0.15)


def test_minimum_and_maximum_length():
    lengths = bptt_windows(100_000, bptt=8, seed=0, epoch=0, bptt_min=6, bptt_max=9)
    assert set(lengths[:-1]) == {6, 7, 8, 9}
    assert max(bptt_windows(100_000, bptt=70, seed=0, epoch=0)) > 80


def test_base_length():
    fixed = dict(seed=0, epoch=0, bptt_std=0)
    assert bptt_windows(200, bptt=70, bptt_full_probability=1, **fixed) == [70, 70, 60]
    assert bptt_windows(80, bptt=71, bptt_full_probability=0, **fixed) == [35, 35, 10]
    assert bptt_windows(13, bptt=3, bptt_full_probability=1, **fixed) == [5, 5, 3]


@pytest.mark.parametrize(
    "changes", [{"num_steps": 0}, {"bptt": 0}, {"bptt_min": 0}, {"bptt_max": 4}]
)
def test_arguments_out_of_range(changes):
    arguments = {"num_steps": 100, "bptt": 70, "seed": 0, "epoch": 0, **changes}
    (name,) = changes
    with pytest.raises(ValueError, match=f"{name}={changes[name]}"):
        bptt_windows(**arguments)


@pytest.mark.parametrize("changes", [{}, {"bptt_max": 75}, {"bptt_min": 60}, {"bptt_std": 0}])
@pytest.mark.parametrize("bptt", [10, 70])
def test_padded_lengths_are_few_and_cover_all_windows(bptt, changes):
    lengths = np.array(padded_lengths(bptt, **changes))
    assert len(lengths) <= 8
    windows = np.array(bptt_windows(100_000, bptt, 0, 0, **changes))
    padded = lengths[np.searchsorted(lengths, windows)]
    assert padded.sum() <= (1.2 if bptt == 10 else 1.05) * windows.sum()
