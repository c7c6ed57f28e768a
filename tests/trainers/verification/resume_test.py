"""Tests of the comparison of a resumed with an unbroken run."""

from unittest import mock

from trainers.commands.verify import relative_error
from trainers.verification import resume


def test_the_runs_are_equal_and_two_were_interrupted():
    results, train = [], resume.train_and_evaluate

    def record(*args, **kwargs):
        results.append(train(*args, **kwargs).reason)

    with mock.patch.object(resume, "train_and_evaluate", record):
        comparisons = resume.compare_runs()
    assert results == ["finished", "interrupted", "interrupted", "finished"]
    assert len(comparisons) > 10
    assert all(relative_error(actual, expected) == 0.0 for _, actual, expected in comparisons)
