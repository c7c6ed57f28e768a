"""Tests of the spaces: every value in them is a setting that a run can have."""

import keras_tuner
import pytest

from trainers.config import DROPOUT_RATES, TrainingConfig
from trainers.errors import UserError
from trainers.search import GROUPS, SPACES, expand


def declare(name, config):
    hyperparameters = keras_tuner.HyperParameters()
    value = SPACES[name](config).declare(hyperparameters, name, getattr(config, name))
    return value, hyperparameters.space[0]


class TestSpaces:
    @pytest.mark.parametrize("name", SPACES)
    def test_exists_has_a_default_and_can_be_overridden(self, name):
        config = TrainingConfig()
        value, space = declare(name, config)
        assert space.name == name
        assert value == getattr(config, name) == space.default
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.values[name] = other = space.random_sample(seed=3)
        assert SPACES[name](config).declare(hyperparameters, name, value) == other

    @pytest.mark.parametrize("name", SPACES)
    @pytest.mark.parametrize("optimizer", ["sgd", "adam"])
    def test_every_value_is_a_setting(self, name, optimizer):
        rate = {"sgd": 30.0, "adam": 1e-3}[optimizer]
        config = TrainingConfig(optimizer=optimizer, learning_rate=rate)
        _, space = declare(name, config)
        samples = {space.random_sample(seed=seed) for seed in range(1, 60)}
        ends = {space.prob_to_value(0.0), space.prob_to_value(1.0 - 1e-9)}
        for value in samples | ends:
            assert getattr(config.replace(**{name: value}), name) == value
        assert len(samples) > 1

    def test_what_the_search_starts_from_belongs_to_the_space(self):
        config = TrainingConfig(learning_rate=0.2, batch_size=7, input_dropout=0.9)
        assert declare("learning_rate", config)[1].min_value == 0.2
        assert declare("batch_size", config)[1].values == [7, 10, 20, 40, 80]
        assert declare("input_dropout", config)[1].max_value == 0.9

    def test_a_multiplier_leaves_rates_below_one(self):
        config = TrainingConfig(weight_dropout=0.9)
        assert declare("dropout_multiplier", config)[1].max_value * 0.9 < 1

    @pytest.mark.parametrize("name", DROPOUT_RATES)
    def test_a_rate_leaves_its_product_with_the_multiplier_below_one(self, name):
        config = TrainingConfig(dropout_multiplier=2.0, **dict.fromkeys(DROPOUT_RATES, 0.2))
        largest = declare(name, config)[1].max_value
        assert 0.2 < largest <= 0.475
        assert config.replace(**{name: largest}).dropout_rates()[name] < 1
        assert declare(name, config.replace(dropout_multiplier=0.0))[1].max_value in (0.3, 0.7)

    def test_a_logarithmic_scale_cannot_start_from_zero(self):
        with pytest.raises(UserError, match="weight_decay is tuned on a logarithmic scale"):
            declare("weight_decay", TrainingConfig(weight_decay=0.0))

    def test_equal_ratios_are_equally_likely(self):
        space = declare("learning_rate", TrainingConfig(learning_rate=10.0))[1]
        assert space.prob_to_value(0.5) == pytest.approx(10.0)  # of 1 to 100


class TestExpand:
    def test_groups(self):
        assert expand(["dropouts"]) == DROPOUT_RATES
        assert set(expand(["sizes", "learning_rate"])) == {*GROUPS["sizes"], "learning_rate"}
        assert "dropout_multiplier" not in expand(["all"])

    def test_the_order_is_that_of_the_spaces(self):
        names = ["tar_beta", "learning_rate", "tar_beta"]
        assert expand(names) == ("learning_rate", "tar_beta")

    def test_groups_name_spaces(self):
        for names in GROUPS.values():
            assert set(names) <= set(SPACES)

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["learning_rates"], "tune must name some of .*Received: 'learning_rates'"),
            ([], "at least one"),
            (["dropout_multiplier", "input_dropout"], "multiplies input_dropout: tune it, or them"),
        ],
    )
    def test_refused(self, names, message):
        with pytest.raises(UserError, match=message):
            expand(names)
