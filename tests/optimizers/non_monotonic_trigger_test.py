"""Tests of the authors' rule on hand-written lists of losses."""

import json
import random

import numpy as np
import pytest

from awd_keras.optimizers import NonMonotonicTrigger

NAN = float("nan")


def updates(interval, losses):
    """Returns the result of `update` for each loss."""
    trigger = NonMonotonicTrigger(non_monotone_interval=interval)
    return [trigger.update(loss) for loss in losses]


def first_firing(interval, losses):
    """Returns the index of the loss that fires, or None."""
    answers = updates(interval, losses)
    assert sum(answers) <= 1
    return answers.index(True) if True in answers else None


class TestNonMonotonicTrigger:
    def test_default_interval_is_the_papers(self):
        assert NonMonotonicTrigger().non_monotone_interval == 5

    @pytest.mark.parametrize(
        "interval,losses,fires_at",
        [
            # 5.0 is compared with 4.0 alone, as 4.5 and 4.4 are the last two.
            (2, [4.0, 4.5, 4.4, 5.0], 3),
            # The best, 3.0, becomes old enough to count only after two more.
            (2, [5.0, 4.0, 3.0, 3.9, 3.8, 3.1], 5),
            # The paper's interval: six must be on record before the first comparison.
            (5, [1, 2, 3, 4, 5, 6, 7], 6),
            (5, [1, 2, 3, 4, 5, 6], None),
            (5, [6.0, 5.0, 4.0, 3.0, 3.5, 3.4, 3.3, 3.2, 3.1, 3.05], 9),
            (5, [6.0, 5.0, 4.0, 3.0, 3.5, 3.4, 3.3, 3.2, 3.1, 2.95], None),
            # No interval: fires when the loss first fails to fall below its best.
            (0, [3.0, 2.0, 2.5], 2),
            (0, [3.0, 2.0, 2.0, 1.0], None),
        ],
    )
    def test_authors_rule(self, interval, losses, fires_at):
        assert first_firing(interval, losses) == fires_at

    def test_equals_the_authors_expression_on_random_lists(self):
        generator = random.Random(0)
        fired = 0
        for _ in range(300):
            interval = generator.randint(1, 4)
            losses = [generator.choice([1.0, 2.0, 3.0, 4.0]) for _ in range(10)]
            expected, record = None, []
            for index, loss in enumerate(losses):
                if len(record) > interval and loss > min(record[:-interval]):
                    expected = index
                    break
                record.append(loss)
            assert first_firing(interval, losses) == expected
            fired += expected is not None
        assert 50 < fired < 300

    def test_reason(self):
        trigger = NonMonotonicTrigger(2)
        answers = []
        for loss in (4.0, 4.5, 4.4, 5.0, 3.0):
            answers.append(trigger.reason)
            trigger.update(loss)
        assert answers[:4] == [None] * 4
        assert trigger.reason == (
            "validation loss 5.0000 is above 4.0000, the smallest recorded loss ignoring the last 2"
        )

    @pytest.mark.parametrize("losses", [[NAN, 1, 2, 3, 4], [1, NAN, 2, 3, 4], [1, 2, NAN, 3, 4]])
    def test_nan_is_never_the_smallest_loss(self, losses):
        assert first_firing(1, losses) in (2, 3)
        assert first_firing(1, [NAN, NAN, NAN]) is None

    @pytest.mark.parametrize("cut", range(7))
    def test_state_in_the_middle(self, cut):
        losses = np.array([5.0, 4.0, 3.0, 3.9, 3.8, 3.1, 3.0], "float32")
        first, second = NonMonotonicTrigger(2), NonMonotonicTrigger(2)
        answers = [first.update(loss) for loss in losses[:cut]]
        second.set_state(json.loads(json.dumps(first.get_state())))
        answers += [second.update(loss) for loss in losses[cut:]]
        assert answers == updates(2, losses) and True in answers

    @pytest.mark.parametrize("interval", [-1, 1.5, "five", None])
    def test_refuses_intervals(self, interval):
        with pytest.raises(ValueError, match="non_monotone_interval"):
            NonMonotonicTrigger(non_monotone_interval=interval)
