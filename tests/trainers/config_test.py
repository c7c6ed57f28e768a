"""Tests of the settings: checks, round trips through JSON, and what may change on resume."""

import dataclasses
import json
import math
import re

import pytest

from trainers.config import TrainingConfig
from trainers.errors import UserError

FIELDS = {field.name: field for field in dataclasses.fields(TrainingConfig)}
# Invalid values by what the check of a setting expects.
INVALID = {
    "an integer from 1 to 65,536": (0, -1, 1.5, True, "3", 65_537),
    "an integer from 1 to 64": (0, 65),
    "an integer from 1 to 1,000,000": (0, 10**23),
    "an integer from 0 to 1,000,000": (-1, 0.5, False, 10**6 + 1),
    "an integer from 1 to 2,147,483,647": (0, 2**31),
    "an integer from 0 to 2,147,483,647": (-1, 2**31),
    "an integer from 0 to 4,294,967,295": (-1, 2**32),
    "in [0, 1)": (1.0, -0.1, math.nan, "0.5"),
    "in [0, 1]": (1.1, -0.1, math.nan, "0.5"),
    "in (0, 1)": (0, 1, -0.5, math.nan),
    "a positive finite number": (0.0, -1.0, math.inf, math.nan, "30"),
    "a non-negative finite number": (-1e-9, math.inf, math.nan, True),
    "a finite number of at least 1": (0.9, 0, math.inf, math.nan),
    "True or False": (1, "yes"),
    "a string": (3,),
    "a tuple, each an integer from 1 to 1,000,000": ([1], (0,), (1.5,), ("2",), 3, (True,)),
    "increasing positive integers": ((5, 3), (3, 3), (0, 3), [3, 5]),
    "non_monotonic, monotonic, epoch:K with K below 1,000,000, start or never": (
        *("epoch:0", "epoch:0.0", "epoch:.5", "epoch:", "epoch:1000000", "x", "", 3),
    ),
}
MAY_CHANGE = {
    "epochs": 3,
    "data_dir": "elsewhere",
    "checkpoint_minutes": 0.0,
    "tensorboard": False,
    "plot": False,
    "validate_raw": True,
    "require_same_vocabulary": True,
    "schedule_epochs": 7,
    "kernel": "portable/direct/swapped",
}


class TestValidation:
    @pytest.mark.parametrize("name", FIELDS)
    def test_the_setting_and_the_value_are_named(self, name):
        _, expected = FIELDS[name].metadata["check"]
        is_optional = FIELDS[name].default is None
        for value in (*INVALID.get(expected, ("no",)), *(() if is_optional else (None,))):
            with pytest.raises(UserError) as error:
                TrainingConfig(**{name: value})
            assert str(error.value) == f"{name} must be {expected}. Received: {name}={value!r}"

    @pytest.mark.parametrize(
        "trigger", ["non_monotonic", "monotonic", "never", "start", "epoch:12", "epoch:0.5"]
    )
    def test_triggers(self, trigger):
        assert TrainingConfig(trigger=trigger).trigger == trigger

    def test_limits_that_are_allowed(self):
        TrainingConfig(bptt_full_probability=0, seed=2**32 - 1, learning_rate=1, bptt_max=5)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"bptt_max": 4},
                "bptt_max must be at least bptt_min. Received: bptt_min=5, bptt_max=4",
            ),
            ({"optimizer": "adam"}, "learning_rate must be at most 1 with optimizer=adam"),
            (
                {"learning_rate_schedule": "cosine", "learning_rate_drop_epochs": (3,)},
                "learning_rate_drop_epochs needs learning_rate_schedule=constant",
            ),
            ({"momentum_min": 0.5, "momentum": 0.9}, "needs learning_rate_schedule=one_cycle"),
            ({"momentum_min": 0.0, "learning_rate_schedule": "one_cycle"}, "a larger momentum"),
            (
                {"momentum_min": 0.9, "momentum": 0.8, "learning_rate_schedule": "one_cycle"},
                "a larger momentum",
            ),
            (
                {"trigger_action": "reduce_learning_rate", "trigger": "start"},
                "needs trigger=non_monotonic or monotonic",
            ),
            ({"stop": "non_monotonic", "trigger": "never"}, "stop=non_monotonic needs a trigger"),
            (
                {"trigger_action": "reduce_learning_rate", "stop": "non_monotonic"},
                "stop=non_monotonic needs a trigger",
            ),
            (
                {"dropout_multiplier": 2.0},
                "weight_dropout * dropout_multiplier must be in [0, 1). Received: 0.5 * 2.0 = 1.0",
            ),
        ],
    )
    def test_combinations(self, changes, message):
        with pytest.raises(UserError, match=re.escape(message)):
            TrainingConfig(**changes)


def test_the_dropout_multiplier_applies_to_all_five_rates():
    config = TrainingConfig(dropout_multiplier=0.5)
    assert config.dropout_rates() == {
        "input_dropout": 0.2,
        "hidden_dropout": 0.15,
        "output_dropout": 0.2,
        "embedding_dropout": 0.05,
        "weight_dropout": 0.25,
    }


class TestFiles:
    @pytest.mark.parametrize("changes", [{}, MAY_CHANGE, {"learning_rate_drop_epochs": (3, 5)}])
    def test_round_trip_through_json(self, changes):
        config = TrainingConfig(**changes)
        assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config

    def test_an_unknown_setting(self):
        with pytest.raises(UserError, match="Unknown settings: patience, warmup"):
            TrainingConfig.from_dict({"warmup": 1, "patience": 2, "epochs": 3})


class TestDifferences:
    def test_those_that_prevent_resuming_are_named(self):
        config = TrainingConfig()
        other = config.replace(bptt=35, trigger="epoch:3", **MAY_CHANGE)
        expected = ["trigger: non_monotonic -> epoch:3", "bptt: 70 -> 35"]
        assert config.differences(other) == expected
        assert config.differences(config.replace(**MAY_CHANGE)) == []

    def test_which_settings_may_change(self):
        assert {name for name in FIELDS if FIELDS[name].metadata["may_change"]} == set(MAY_CHANGE)

    @pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
    def test_epochs_may_not_change_if_a_schedule_ends_with_them(self, schedule):
        config = TrainingConfig(learning_rate_schedule=schedule, epochs=10)
        assert config.differences(config.replace(epochs=12)) == ["schedule_epochs: 10 -> 12"]
        assert config.differences(config.replace(epochs=12, schedule_epochs=10)) == []


class TestFineTuning:
    def test_is_averaged_sgd_at_the_rate_of_the_run(self):
        config = TrainingConfig(learning_rate=20.0).fine_tuning("runs/ptb")
        assert (config.optimizer, config.learning_rate) == ("sgd", 20.0)
        assert (config.trigger, config.stop) == ("start", "non_monotonic")
        assert config.initial_run == "runs/ptb"

    def test_of_an_adam_run_is_sgd_at_the_papers_rate(self):
        adam = {"optimizer": "adam", "learning_rate": 0.005, "momentum": 0.8}
        cycle = {"learning_rate_schedule": "one_cycle", "momentum_min": 0.7}
        config = TrainingConfig(**adam, **cycle).fine_tuning("runs/ptb")
        assert (config.optimizer, config.learning_rate, config.momentum) == ("sgd", 30.0, None)
        changed = TrainingConfig(**adam, **cycle).fine_tuning("runs/ptb", learning_rate=5.0)
        assert (changed.optimizer, changed.learning_rate) == ("sgd", 5.0)
