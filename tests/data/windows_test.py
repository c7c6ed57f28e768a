"""Tests of a text as a dataset of windows."""

import numpy as np
import pytest

from awd_keras.data import Corpus, WindowSchedule, bptt_windows, window_dataset

TEXT = np.arange(100)


def lengths(dataset):
    return [inputs.shape[1] for inputs, _ in dataset]


@pytest.mark.parametrize("bptt", [None, 7])
def test_windows_cover_the_text_in_order(bptt):
    inputs, targets = (np.concatenate(x, 1) for x in zip(*window_dataset(TEXT, 3, bptt)))
    columns = TEXT[:99].reshape(3, 33)
    np.testing.assert_array_equal(inputs, columns[:, :-1])
    np.testing.assert_array_equal(targets, columns[:, 1:])


def test_without_bptt_all_windows_but_the_last_are_equal():
    dataset = window_dataset(np.arange(5000) % 7, 1)
    assert lengths(dataset) == [2000, 2000, 999]
    assert int(dataset.cardinality()) == 3


def test_each_epoch_has_windows_of_its_own():
    dataset = window_dataset(TEXT, 3, bptt=7, seed=4, bptt_max=9)
    for epoch in (0, 3, 0):
        dataset.schedule.epoch = epoch
        expected = bptt_windows(32, 7, 4, epoch, bptt_max=9)
        assert lengths(dataset) == dataset.schedule.lengths(epoch) == expected
    assert dataset.schedule.bptt == 7


def test_refuses_arguments_at_once():
    with pytest.raises(ValueError, match="bptt"):
        WindowSchedule(32, bptt=0, seed=1)


def test_of_a_corpus():
    texts = {"train": ["a b c d"], "validation": ["b a"], "test": ["d d d"]}
    corpus = Corpus.from_texts("letters", texts)
    ((inputs, targets),) = corpus.windows("test", batch_size=1)
    np.testing.assert_array_equal(inputs, [corpus.test[:-1]])
    np.testing.assert_array_equal(targets, [corpus.test[1:]])
