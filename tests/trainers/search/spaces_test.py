"""Tests of the spaces: every value in them is a setting that a run accepts."""

import keras_tuner
import pytest

from trainers.config import TrainingConfig
from trainers.config_flags import flags_of
from trainers.errors import UserError
from trainers.search.spaces import GROUPS, SPACES, expand


@pytest.mark.parametrize("name", SPACES)
def test_every_value_is_a_valid_setting(name):
    config, hp = TrainingConfig(), keras_tuner.HyperParameters()
    default = getattr(config, name)
    assert SPACES[name].declare(hp, name, default) == default
    samples = {hp.space[0].random_sample(seed=seed) for seed in range(1, 40)}
    ends = {hp.space[0].prob_to_value(0.0), hp.space[0].prob_to_value(1.0 - 1e-9)}
    for value in samples | ends:
        assert getattr(config.replace(**{name: value}), name) == value
    assert len(samples) > 1


def test_expand():
    assert expand(["tar_beta", "learning_rate", "tar_beta"]) == ("learning_rate", "tar_beta")
    assert set(expand(["sizes", "num_layers"])) == set(GROUPS["sizes"])
    for names in GROUPS.values():
        assert set(names) <= set(SPACES)
    assert set(expand(["all"])) == set(SPACES) - {"dropout_multiplier"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["learning_rates"], "Received: 'learning_rates'"),
        ([], "at least one setting"),
        (["dropouts", "dropout_multiplier"], "must not name both"),
    ],
)
def test_bad_names(names, message):
    with pytest.raises(UserError, match=message):
        expand(names)


def test_flags_of_leaves_out_defaults():
    config = TrainingConfig(tie_weights=False, data_dir="a b", bptt_max=80)
    assert flags_of(config) == [
        "--preset=ptb",
        "--data_dir=a b",
        "--tie_weights=False",
        "--bptt_max=80",
    ]
