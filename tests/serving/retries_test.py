"""Tests of calls that are made again."""

import pytest

from serving.retries import Retries
from serving.status import StatusError


class World:
    """Time that passes only in pauses and calls, and a server of which the failures are given."""

    def __init__(self, *failures, seconds=0.0):
        self.now = 100.0
        self.failures = list(failures)
        self.seconds = seconds
        self.pauses = []
        self.timeouts = []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def call(self, timeout):
        self.timeouts.append(timeout)
        self.now += min(self.seconds, timeout)
        if self.failures:
            raise StatusError(self.failures.pop(0), "it said")
        return "answer"

    def run(self, **options):
        retries = Retries(clock=lambda: self.now, sleep=self.sleep, uniform=lambda: 0.0, **options)
        return retries.run(self.call)


def test_an_answer_is_asked_once():
    world = World()
    assert world.run(deadline=5.0) == "answer"
    assert (world.timeouts, world.pauses) == ([5.0], [])


def test_unavailable_is_tried_again_after_longer_and_longer_pauses():
    world = World(*["UNAVAILABLE"] * 4)
    assert world.run(first_pause=1.0, max_pause=3.0, max_attempts=5) == "answer"
    assert world.pauses == [1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"]
)
def test_every_other_failure_is_final(code):
    world = World(code)
    with pytest.raises(StatusError, match=f"^{code}: it said$"):
        world.run()
    assert len(world.timeouts) == 1


def test_the_number_of_attempts_is_limited():
    world = World(*["UNAVAILABLE"] * 9)
    with pytest.raises(StatusError, match="^UNAVAILABLE: it said$"):
        world.run(max_attempts=3)
    assert len(world.timeouts) == 3


def test_without_a_number_the_deadline_alone_ends_it():
    # A server takes ten seconds or more to load TensorFlow.
    world = World(*["UNAVAILABLE"] * 8)
    told = []
    assert world.run(on_wait=lambda: told.append(world.now)) == "answer"
    assert 15.0 < world.now - 100.0 <= 30.0
    assert len(told) == len(world.pauses) == 8
    world = World(*["UNAVAILABLE"] * 999)
    with pytest.raises(StatusError, match="^UNAVAILABLE: it said$"):
        world.run(deadline=60.0)
    assert 55.0 < world.now - 100.0 <= 60.0


def test_the_deadline_holds_for_all_attempts_and_pauses():
    world = World(*["UNAVAILABLE"] * 99, seconds=1.0)
    with pytest.raises(StatusError):
        world.run(deadline=10.0, first_pause=1.0, max_pause=2.0, max_attempts=99)
    assert world.now <= 110.0
    assert world.timeouts == [10.0, 8.0, 5.0, 2.0]


def test_clients_do_not_come_back_at_the_same_moment():
    world = World("UNAVAILABLE")
    retries = Retries(
        first_pause=1.0, jitter=0.5, clock=lambda: world.now, sleep=world.sleep, uniform=lambda: 0.8
    )
    retries.run(world.call)
    assert world.pauses == [pytest.approx(0.6)]


@pytest.mark.parametrize("options", [{"deadline": 0}, {"deadline": -1.0}, {"max_attempts": 0}])
def test_settings_that_cannot_be(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Retries(**options)
