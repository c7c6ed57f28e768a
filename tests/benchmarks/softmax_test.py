"""Tests of the softmax's benchmark: both measurements run, and the limits are judged."""

import pytest

from benchmarks import softmax

FORMS = ("in chunks", "all tokens at once", "TensorFlow's own")


def results(chunks, beyond):
    seconds = {"in chunks": [chunks], "all tokens at once": [1.0], "TensorFlow's own": [2.0]}
    size = {"num_tokens": 1400, "vocabulary_size": 10_000}
    memory = {"num_tokens": 4200, "vocabulary_size": 267_735, "seconds": 9.0, "gradient_mib": 409.0}
    return {"times": [{**size, "seconds": seconds}], "memory": {**memory, "beyond_mib": beyond}}


def test_what_holds_and_what_does_not():
    *_, time, _, memory = softmax.report(results(chunks=1.25, beyond=950.0))
    assert "1.25 of the time" in time and "1.3 holds" in time
    assert "950 MiB beyond" in memory and "(1 GB) holds" in memory
    *_, time, _, memory = softmax.report(results(chunks=1.35, beyond=960.0))
    assert "DOES NOT HOLD" in time and "DOES NOT HOLD" in memory


def test_the_forms_take_turns():
    seconds = softmax.measure_times(num_tokens=6, vocabulary_size=11, rounds=2)
    assert tuple(seconds) == FORMS and all(len(values) == 2 for values in seconds.values())


def test_a_part_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no_such_argument"):
        softmax._alone("times", no_such_argument=1)


@pytest.mark.slow
def test_both_are_measured_in_processes_of_their_own():
    found = softmax.measure([6], 11, 8, 300, rounds=1)
    assert set(found["times"][0]["seconds"]) == set(FORMS)
    assert found["memory"]["vocabulary_size"] == 300 and found["memory"]["seconds"] > 0
    assert softmax.report(found)
