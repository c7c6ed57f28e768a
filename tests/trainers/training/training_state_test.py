"""Tests of the saved state: everything comes back, and what does not fit is refused."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.optimizers import NonMonotonicTrigger
from tests.trainers.training.tiny import make_config, make_model
from trainers.errors import UserError
from trainers.training import read_checkpoint, write_checkpoint
from trainers.training.training_state import TrainingState


def values_of(model, optimizer):
    return [variable.numpy() for variable in [*model.weights, *optimizer.variables]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.npz"


@pytest.fixture
def saved(path):
    """A state saved with random variables, and their values."""
    model, optimizer = make_model(make_config())
    generator = np.random.default_rng(2)
    for variable in [*model.weights, *optimizer.variables]:
        if variable.dtype == "float32":
            variable.assign(generator.normal(size=variable.shape))
    trigger = NonMonotonicTrigger(3)
    trigger.update(4.0)
    carried = tf.nest.map_structure(
        lambda zero: tf.constant(generator.random(zero.shape), zero.dtype), model.initial_state(4)
    )
    state = TrainingState(carried, trigger, epoch=1, position=30, step=17, best_loss=0.1 + 0.2)
    state.save(path, model, optimizer)
    return state, values_of(model, optimizer)


def test_everything_comes_back(path, saved):
    state, values = saved
    model, optimizer = make_model(make_config())  # as new
    loaded = TrainingState.load(path, model, optimizer, make_config())
    for actual, expected in zip(values_of(model, optimizer), values, strict=True):
        np.testing.assert_array_equal(actual, expected)
    tf.nest.assert_same_structure(loaded.carried, state.carried)
    for actual, expected in zip(
        tf.nest.flatten(loaded.carried), tf.nest.flatten(state.carried), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    assert loaded.trigger.get_state() == state.trigger.get_state()
    assert dataclasses.replace(loaded, carried=[], trigger=None) == dataclasses.replace(
        state, carried=[], trigger=None
    )


@pytest.mark.parametrize("damage", ["state", "trigger", "field", "batch_size"])
def test_what_does_not_fit_is_refused(path, saved, damage):
    arrays, facts = read_checkpoint(path)
    if damage == "field":
        facts["state"]["weather"] = "fine"
    elif damage != "batch_size":
        del facts[damage]
    write_checkpoint(path, arrays, facts)
    model, optimizer = make_model(make_config())
    before = values_of(model, optimizer)
    config = make_config(batch_size=5) if damage == "batch_size" else make_config()
    with pytest.raises(UserError, match="cannot be resumed|carried/0 in .* has shape"):
        TrainingState.load(path, model, optimizer, config)
    for actual, expected in zip(values_of(model, optimizer), before, strict=True):
        np.testing.assert_array_equal(actual, expected)
