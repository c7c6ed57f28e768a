"""When to start averaging: the non-monotonic test (algorithm 1 of the paper)."""

import numbers


class NonMonotonicTrigger:
    """Fires when the validation loss has stopped improving for a while.

    The loss v fires the trigger when more than n losses are on record and v is greater than the
    smallest of them without the last n; v itself goes on record afterwards. This is the authors'
    code, whose author calls the paper's text a misprint.

    Args:
        non_monotone_interval: n, 5 in the paper (the authors' `nonmono`). 0 is the monotonic test
            that the paper compares with: it fires when the loss first fails to improve on its best.

    Raises:
        ValueError: if the interval is not a non-negative integer.

    Example:

    >>> trigger = NonMonotonicTrigger(non_monotone_interval=2)
    >>> [trigger.update(loss) for loss in (5.0, 4.0, 4.1, 4.2, 4.3)]
    [False, False, False, False, True]
    """

    def __init__(self, non_monotone_interval=5):
        valid = isinstance(non_monotone_interval, numbers.Integral)
        if not valid or isinstance(non_monotone_interval, bool) or non_monotone_interval < 0:
            raise ValueError(
                "`non_monotone_interval` must be a non-negative integer. "
                f"Received: non_monotone_interval={non_monotone_interval!r}"
            )
        self.non_monotone_interval = int(non_monotone_interval)
        self.record = []
        self.triggered = False

    def update(self, loss):
        """Puts a loss on record.

        Args:
            loss: float, the validation loss.

        Returns:
            True the one time that the trigger fires.
        """
        loss = float(loss)
        earlier = self.record[: len(self.record) - self.non_monotone_interval]
        fires = (
            not self.triggered
            and len(self.record) > self.non_monotone_interval
            and loss > min(earlier)
        )
        self.record.append(loss)
        self.triggered = self.triggered or fires
        return fires

    def get_state(self):
        """Everything that `update` depends on, as a dictionary that JSON can hold."""
        return {
            "non_monotone_interval": self.non_monotone_interval,
            "record": list(self.record),
            "triggered": self.triggered,
        }

    def set_state(self, state):
        """Restores what `get_state` returned.

        Raises:
            ValueError: if the state belongs to another interval.
        """
        if state["non_monotone_interval"] != self.non_monotone_interval:
            raise ValueError(
                f"The state belongs to non_monotone_interval={state['non_monotone_interval']}, "
                f"this trigger has {self.non_monotone_interval}."
            )
        self.record = [float(loss) for loss in state["record"]]
        self.triggered = bool(state["triggered"])
