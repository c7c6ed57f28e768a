"""Tests of the settings: checks, round trips through JSON, and what may change on resume."""

import dataclasses
import json
import math
import re

import pytest

from trainers.config import DROPOUT_RATES, TrainingConfig
from trainers.errors import UserError

FIELDS = {field.name: field for field in dataclasses.fields(TrainingConfig)}
POSITIVE_INTEGERS = (
    "embedding_dim",
    "hidden_dim",
    "num_layers",
    "epochs",
    "batch_size",
    "bptt",
    "validation_batch_size",
    "test_batch_size",
    "bptt_min",
)
WRONG = [
    *((name, value) for name in POSITIVE_INTEGERS for value in (0, -1, 1.5, True, "3", None)),
    *(
        (name, value)
        for name in ("max_vocabulary_size", "max_train_tokens", "bptt_max", "schedule_epochs")
        for value in (0, 2.0, "9")
    ),
    *(
        (name, value)
        for name in ("non_monotone_interval", "logging_interval", "seed")
        for value in (-1, 0.5, False, None)
    ),
    ("seed", 2**32),
    *((name, value) for name in DROPOUT_RATES for value in (1.0, -0.1, math.nan, "0.5", None)),
    *(
        (name, value)
        for name in (
            "ar_alpha",
            "tar_beta",
            "weight_decay",
            "bptt_std",
            "dropout_multiplier",
            "checkpoint_minutes",
        )
        for value in (-1e-9, math.inf, math.nan, None)
    ),
    *(
        (name, value)
        for name in ("learning_rate", "global_clipnorm")
        for value in (0.0, -1.0, math.inf, math.nan, "30")
    ),
    *((name, value) for name in ("momentum", "momentum_min") for value in (1.0, -0.1, "0.9", True)),
    *(
        (name, value)
        for name in ("div_factor", "final_div_factor", "learning_rate_reduction")
        for value in (0.9, 0, math.inf, math.nan, None)
    ),
    *(("warmup_fraction", value) for value in (0, 1, -0.5, math.nan, None)),
    *(("bptt_full_probability", value) for value in (-0.1, 1.1, math.nan)),
    *(("trigger", value) for value in ("sometimes", "epoch:0", "epoch:", "epoch:-1", "", None, 3)),
    *((name, 1) for name in ("tie_weights", "tensorboard", "plot", "validate_raw")),
    *(
        (name, "no")
        for name in (
            "corpus",
            "optimizer",
            "dtype",
            "stop",
            "learning_rate_schedule",
            "trigger_action",
        )
    ),
    *(("learning_rate_drop_epochs", value) for value in ([1], (0,), (1.5,), ("2",), 3, (True,))),
    *((name, 3) for name in ("data_dir", "initial_run")),
]

# Another value for every setting that a resumed run may not change.
OTHER = {
    "corpus": "text",
    "max_vocabulary_size": 100,
    "embedding_dim": 8,
    "hidden_dim": 9,
    "num_layers": 2,
    "tie_weights": False,
    "dtype": "bfloat16",
    "input_dropout": 0.1,
    "hidden_dropout": 0.1,
    "output_dropout": 0.1,
    "embedding_dropout": 0.2,
    "weight_dropout": 0.1,
    "dropout_multiplier": 0.5,
    "ar_alpha": 0.0,
    "tar_beta": 0.0,
    "weight_decay": 0.0,
    "optimizer": "adam",
    "learning_rate": 0.5,
    "learning_rate_drop_epochs": (3, 5),
    "global_clipnorm": 1.0,
    "trigger": "epoch:3",
    "non_monotone_interval": 2,
    "logging_interval": 100,
    "batch_size": 20,
    "validation_batch_size": 1,
    "test_batch_size": 2,
    "bptt": 35,
    "bptt_std": 1.0,
    "bptt_min": 2,
    "bptt_max": 90,
    "bptt_full_probability": 1.0,
    "seed": 1,
    "initial_run": "another",
    "stop": "non_monotonic",
    "max_train_tokens": 1000,
    "learning_rate_schedule": "one_cycle",
    "schedule_epochs": 9,
    "warmup_fraction": 0.1,
    "div_factor": 10.0,
    "final_div_factor": 100.0,
    "momentum": 0.9,
    "momentum_min": 0.8,
    "trigger_action": "reduce_learning_rate",
    "learning_rate_reduction": 4.0,
}
MAY_CHANGE = {
    "epochs": 3,
    "data_dir": "elsewhere",
    "checkpoint_minutes": 0.0,
    "tensorboard": False,
    "plot": False,
    "validate_raw": True,
}
# A valid combination.
TOGETHER = {**OTHER, "learning_rate_drop_epochs": (), "trigger_action": "average"}


class TestValidation:
    @pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda x: str(x))
    def test_the_setting_and_the_value_are_named(self, name, value):
        with pytest.raises(UserError) as error:
            TrainingConfig(**{name: value})
        assert str(error.value).startswith(f"{name} must be ")
        assert str(error.value).endswith(f"Received: {name}={value!r}")
        assert "\n" not in str(error.value)

    def test_every_setting_has_a_wrong_value_above(self):
        assert {name for name, _ in WRONG} == set(FIELDS)

    @pytest.mark.parametrize(
        "trigger", ["non_monotonic", "monotonic", "never", "start", "epoch:12"]
    )
    def test_triggers(self, trigger):
        assert TrainingConfig(trigger=trigger).trigger == trigger

    def test_limits_that_are_allowed(self):
        TrainingConfig(
            input_dropout=0.0,
            weight_dropout=0.999,
            bptt_full_probability=0,
            bptt_std=0,
            non_monotone_interval=0,
            weight_decay=0,
            learning_rate=1,
            seed=2**32 - 1,
            bptt_min=5,
            bptt_max=5,
        )

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"bptt_max": 4},
                "bptt_max must be at least bptt_min. Received: bptt_min=5, bptt_max=4",
            ),
            ({"optimizer": "adam"}, "try 0.001. Received: learning_rate=30.0"),
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
            ({"stop": "non_monotonic", "trigger": "never"}, "stop=non_monotonic needs an average"),
            (
                {"trigger_action": "reduce_learning_rate", "stop": "non_monotonic"},
                "stop=non_monotonic needs an average",
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

    def test_it_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            TrainingConfig().epochs = 3

    def test_a_copy_is_validated(self):
        assert TrainingConfig().replace(epochs=3).epochs == 3
        with pytest.raises(UserError, match="epochs"):
            TrainingConfig().replace(epochs=0)


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
    @pytest.mark.parametrize("changes", [{}, TOGETHER, MAY_CHANGE])
    def test_round_trip_through_json(self, changes):
        config = TrainingConfig(**changes)
        assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config

    def test_an_unknown_setting(self):
        with pytest.raises(UserError, match="Unknown settings: patience, warmup"):
            TrainingConfig.from_dict({"warmup": 1, "patience": 2, "epochs": 3})

    def test_a_wrong_value_in_a_file(self):
        with pytest.raises(UserError, match="epochs"):
            TrainingConfig.from_dict({"epochs": "many"})


class TestDifferences:
    @pytest.mark.parametrize("name", sorted(OTHER))
    def test_named(self, name):
        base = {"learning_rate": 1.0}
        if name == "momentum_min":
            base.update(learning_rate_schedule="one_cycle", momentum=0.9)
        config = TrainingConfig(**base)
        other = config.replace(**{name: OTHER[name]})
        expected = f"{name}: {getattr(config, name)} -> {getattr(other, name)}"
        assert config.differences(other) == [expected]

    @pytest.mark.parametrize("name", sorted(MAY_CHANGE))
    def test_epochs_and_display_may_change(self, name):
        config = TrainingConfig()
        other = config.replace(**{name: MAY_CHANGE[name]})
        assert other != config
        assert config.differences(other) == []

    @pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
    def test_epochs_may_not_where_a_schedule_ends_with_them(self, schedule):
        config = TrainingConfig(learning_rate_schedule=schedule, epochs=10)
        assert config.differences(config.replace(epochs=12)) == ["schedule_epochs: 10 -> 12"]
        fixed = config.replace(schedule_epochs=10)
        assert fixed.differences(fixed.replace(epochs=12)) == []

    def test_every_setting_is_above(self):
        assert set(OTHER) | set(MAY_CHANGE) == set(FIELDS)
        assert not set(OTHER) & set(MAY_CHANGE)


def test_every_setting_has_a_help_text():
    for field in FIELDS.values():
        assert len(field.metadata["help"]) > 3
        assert field.metadata["section"]


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
