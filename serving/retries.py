"""A call that is made again while the server is away, within one deadline."""

import dataclasses
import itertools
import random
import time
from collections.abc import Callable

from serving.status import StatusError


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often and for how long a call is tried.

    Only UNAVAILABLE is tried again: the server was not reached, or said that it cannot answer now.
    Every other failure would be the same the next time.

    Args:
        deadline: seconds in which the call has to end, all its attempts and pauses together.
        max_attempts: None, or how often it is made at most. Without it the deadline alone ends it:
            a server that starts takes longer than a few attempts.
        first_pause: seconds before the second attempt; each pause is twice the one before it.
        max_pause: seconds of the longest pause.
        jitter: the part of a pause that is drawn, so that clients do not come back all at once.
        clock: returns seconds.
        sleep: waits for seconds.
        uniform: draws from [0, 1).
        on_wait: None, or a function without arguments, called before a pause.
    """

    deadline: float = 30.0
    max_attempts: int | None = None
    first_pause: float = 0.1
    max_pause: float = 5.0
    jitter: float = 0.5
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[], float] = random.random
    on_wait: Callable[[], None] | None = None

    def __post_init__(self):
        if not self.deadline > 0:
            raise ValueError(f"deadline must be above 0 seconds. Received: {self.deadline}")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1. Received: {self.max_attempts}")

    def run(self, call):
        """Makes a call.

        Args:
            call: function of the seconds that are left for it.

        Returns:
            what it returns.

        Raises:
            StatusError: that of the last attempt.
        """
        end = self.clock() + self.deadline
        pause = self.first_pause
        for attempt in itertools.count(1):
            try:
                return call(max(end - self.clock(), 0.001))
            except StatusError as error:
                wait = pause * (1 - self.jitter * self.uniform())
                last = attempt == self.max_attempts or self.clock() + wait >= end
                if error.code != "UNAVAILABLE" or last:
                    raise
            if self.on_wait is not None:
                self.on_wait()
            self.sleep(wait)
            pause = min(2 * pause, self.max_pause)
