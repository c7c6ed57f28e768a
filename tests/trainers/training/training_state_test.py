"""Tests of where a run is: all of it comes back, or nothing does."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from tests.trainers.training.tiny import make_config, make_model
from trainers.errors import UserError
from trainers.training import read_checkpoint, write_checkpoint
from trainers.training.training_state import (
    TrainingState,
    load_training,
    load_weights,
    save_training,
    save_weights,
)

BATCH = 4
STATE = TrainingState(
    epoch=2,
    window=3,
    position=31,
    step=17,
    tokens=680,
    loss_sum=12.5,
    loss_tokens=40,
    best_loss=3.25,
    triggered_at_step=9,
    stop_test={"losses": [3.5, 3.25]},
    seconds=1.5,
)


@pytest.fixture
def objects():
    """Model, optimizer and trigger in the middle of a run, and the states carried."""
    model, optimizer = make_model(make_config())
    generator = np.random.default_rng(2)
    for variable in [*model.weights, *optimizer.variables]:
        if variable.dtype == "float32":
            variable.assign(generator.normal(size=variable.shape))
    trigger = NonMonotonicTrigger(3)
    trigger.update(4.0)
    zeros = model.initial_state(BATCH)
    carried = tf.nest.map_structure(
        lambda x: tf.constant(generator.random(x.shape), x.dtype), zeros
    )
    return model, optimizer, trigger, carried


def variables_of(model, optimizer):
    return [variable.numpy() for variable in [*model.weights, *optimizer.variables]]


def assert_all_equal(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


class TestTraining:
    def test_everything_comes_back(self, objects, tmp_path):
        model, optimizer, trigger, carried = objects
        expected = variables_of(model, optimizer)
        save_training(tmp_path / "file", model, optimizer, trigger, carried, STATE)
        model, optimizer = make_model(make_config())  # as new
        assert any(np.any(a != b) for a, b in zip(variables_of(model, optimizer), expected))
        new_trigger = NonMonotonicTrigger(3)
        found, state = load_training(tmp_path / "file", model, optimizer, new_trigger, BATCH)
        assert state == STATE
        assert new_trigger.get_state() == trigger.get_state()
        assert_all_equal(variables_of(model, optimizer), expected)
        assert_all_equal(tf.nest.flatten(found), tf.nest.flatten(carried))
        tf.nest.assert_same_structure(found, carried)

    @pytest.mark.parametrize("damage", ["state", "trigger", "field"])
    def test_facts_that_are_of_no_run_are_refused(self, objects, tmp_path, damage):
        model, optimizer, trigger, carried = objects
        save_training(tmp_path / "file", model, optimizer, trigger, carried, STATE)
        arrays, facts = read_checkpoint(tmp_path / "file")
        if damage == "field":
            facts["state"]["weather"] = "fine"
        else:
            del facts[damage]
        write_checkpoint(tmp_path / "file", arrays, facts)
        before = variables_of(model, optimizer)
        with pytest.raises(UserError, match="is not one to go on from"):
            load_training(tmp_path / "file", model, optimizer, trigger, BATCH)
        assert_all_equal(variables_of(model, optimizer), before)

    def test_another_batch_size_is_refused(self, objects, tmp_path):
        model, optimizer, trigger, carried = objects
        save_training(tmp_path / "file", model, optimizer, trigger, carried, STATE)
        with pytest.raises(UserError, match="carried/"):
            load_training(tmp_path / "file", model, optimizer, trigger, BATCH + 1)


class TestWeights:
    def test_of_either_kind_of_checkpoint(self, objects, tmp_path):
        model, optimizer, trigger, carried = objects
        expected = [variable.numpy() for variable in model.weights]
        save_weights(tmp_path / "best", model, {"step": 17})
        save_training(tmp_path / "last", model, optimizer, trigger, carried, STATE)
        for name in ("best", "last"):
            model, _ = make_model(make_config())
            facts = load_weights(tmp_path / name, model)
            assert_all_equal([variable.numpy() for variable in model.weights], expected)
            assert facts["step" if name == "best" else "trigger"]
        assert facts["state"]["step"] == 17

    def test_of_another_model_are_refused(self, objects, tmp_path):
        save_weights(tmp_path / "best", objects[0], {})
        other, _ = make_model(make_config(hidden_dim=9))
        with pytest.raises(UserError, match="expected"):
            load_weights(tmp_path / "best", other)
