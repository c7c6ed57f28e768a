"""The non-monotonic trigger, which decides when averaging starts (algorithm 1 of the paper)."""

import math


class NonMonotonicTrigger:
    """Fires when the validation loss has stopped improving.

    With `n = non_monotone_interval`, a loss fires the trigger if it is greater than the smallest
    earlier loss, not counting the last `n`. This is the rule of the authors' code; the paper has a
    misprint. NaN is never the smallest loss and never fires the trigger.

    Args:
        non_monotone_interval: Number of most recent losses to leave out (`--nonmono` in the
            authors' code). Defaults to 5, as in the paper. With 0, the trigger fires when the loss
            first exceeds its best value.

    Attributes:
        record: List of the losses so far.
        triggered: Whether the trigger has fired.
        reason: One sentence that explains why it fired, or `None`.

    Raises:
        ValueError: If the interval is not a non-negative integer.

    Example:

    >>> trigger = NonMonotonicTrigger(non_monotone_interval=2)
    >>> [trigger.update(loss) for loss in (5.0, 4.0, 4.1, 4.2, 4.3)]
    [False, False, False, False, True]
    """

    def __init__(self, non_monotone_interval=5):
        if not isinstance(non_monotone_interval, int) or non_monotone_interval < 0:
            raise ValueError(
                "`non_monotone_interval` must be a non-negative integer. "
                f"Received: non_monotone_interval={non_monotone_interval!r}"
            )
        self.non_monotone_interval = non_monotone_interval
        self.record = []
        self.triggered = False
        self.reason = None

    def update(self, loss):
        """Records a validation loss, and returns whether it fires the trigger (at most once)."""
        loss = float(loss)
        earlier = self.record[: max(0, len(self.record) - self.non_monotone_interval)]
        smallest = min((x for x in earlier if not math.isnan(x)), default=math.inf)
        fires = not self.triggered and loss > smallest
        if fires:
            self.triggered = True
            n = self.non_monotone_interval
            without = f" ignoring the last {n}" if n else ""
            self.reason = (
                f"validation loss {loss:.4f} is above {smallest:.4f}, the smallest recorded loss"
                f"{without}"
            )
        self.record.append(loss)
        return fires

    def get_state(self):
        """Returns the state of the trigger as a JSON-serializable dictionary."""
        return {
            "non_monotone_interval": self.non_monotone_interval,
            "record": list(self.record),
            "triggered": self.triggered,
        }

    def set_state(self, state):
        """Restores a state returned by `get_state` of a trigger with the same interval."""
        self.record = [float(loss) for loss in state["record"]]
        self.triggered = bool(state["triggered"])
        self.reason = None
