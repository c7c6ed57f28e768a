"""Tests of what the benchmarks give to do."""

import numpy as np

from benchmarks.workload import Workload


class TestWorkload:
    def test_multiply_adds_of_the_papers_model(self):
        # LSTMs 400 -> 1150 -> 1150 -> 400 and the softmax, for 20 x 70 words, forward.
        lstm = 4 * (1150 * (400 + 1150) + 1150 * (1150 + 1150) + 400 * (1150 + 400))
        forward = 1400 * (lstm + 400 * 10_000)
        assert Workload().multiply_adds(training=False) == forward
        assert Workload().multiply_adds(training=True) == 3 * forward

    def test_text_is_a_function_of_the_window(self):
        workload = Workload(batch_size=3, timesteps=5, vocabulary_size=50)
        text = workload.text(7)
        assert text.shape == (3, 6) and text.dtype == np.int32
        assert 0 <= text.min() and text.max() < 50
        np.testing.assert_array_equal(text, workload.text(7))
        assert np.any(text != workload.text(8))
