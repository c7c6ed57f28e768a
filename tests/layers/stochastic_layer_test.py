"""Tests of what layers with a random mask share: their rate and their seeds."""

import numpy as np
import pytest

from awd_keras.layers.stochastic_layer import StochasticLayer, validated_rate
from tests.test_case import assert_equal, check_config, seed_tensor


class TestValidatedRate:
    @pytest.mark.parametrize("rate", [0, 0.0, 0.25, np.float32(0.5), 1 - 1e-9])
    def test_a_rate_becomes_a_float(self, rate):
        found = validated_rate("rate", rate)
        assert type(found) is float and found == rate

    @pytest.mark.parametrize("rate", [-1e-9, 1, 1.5, float("nan"), float("inf"), True, "0.5", None])
    def test_refuses_by_the_name_of_the_argument(self, rate):
        with pytest.raises(ValueError, match=r"`hidden_dropout` must be a number in \[0, 1\)"):
            validated_rate("hidden_dropout", rate)


class TestMaskSeed:
    def test_a_seed_that_is_given_is_used_as_it_is(self):
        seed = seed_tensor()
        assert StochasticLayer().mask_seed(seed) is seed

    def test_without_one_each_is_new_and_of_the_same_form(self):
        layer = StochasticLayer()
        first, second = layer.mask_seed(None), layer.mask_seed(None)
        assert first.dtype == second.dtype == seed_tensor().dtype
        assert first.shape == second.shape == seed_tensor().shape
        assert np.any(first != second)

    def test_the_seed_of_the_layer_decides_about_all(self):
        one, same, other = (StochasticLayer(seed=seed) for seed in (3, 3, 4))
        for _ in range(2):
            seed = one.mask_seed(None)
            assert_equal(same.mask_seed(None), seed)
            assert np.any(other.mask_seed(None) != seed)


def test_config_and_masking():
    layer = StochasticLayer(seed=7, name="random")
    assert layer.supports_masking
    assert check_config(layer).seed == 7
