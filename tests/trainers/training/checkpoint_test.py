"""Tests of checkpoints and the state of a run: written atomically, read or refused."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.optimizers import NonMonotonicTrigger
from tests.test_case import assert_all_equal
from tests.trainers.training.tiny import make_config, make_model
from trainers.errors import UserError
from trainers.training import checkpoint, read_checkpoint, write_checkpoint
from trainers.training.checkpoint import TrainingState, restore_variables

ARRAYS = {
    "weights/a b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "flag": np.array(True),
    "count": np.array(2**40, np.int64),
}
FACTS = {"step": 3, "loss": 0.1 + 0.2, "words": ["<eos>", "é"]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints" / "checkpoint.npz"
    write_checkpoint(path, ARRAYS, FACTS)
    return path


def test_round_trip(path):
    arrays, facts = read_checkpoint(path)
    assert facts == {**FACTS, "format_version": checkpoint.FORMAT_VERSION}
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


class TestUnreadable:
    def test_missing(self, tmp_path):
        with pytest.raises(UserError, match="no checkpoint"):
            read_checkpoint(tmp_path / "checkpoint.npz")

    def test_cut_short_anywhere(self, path):
        content = path.read_bytes()
        for length in range(0, len(content), 37):
            path.write_bytes(content[:length])
            with pytest.raises(UserError, match="corrupt"):
                read_checkpoint(path)

    def test_a_changed_byte_is_an_error_or_changes_nothing(self, path):
        content = path.read_bytes()
        num_refused = 0
        for position in range(0, len(content), 5):
            damaged = bytearray(content)
            damaged[position] ^= 0x55
            path.write_bytes(damaged)
            try:
                arrays, facts = read_checkpoint(path)
            except UserError:
                num_refused += 1
                continue
            assert facts["step"] == 3
            assert all(arrays[name].tobytes() == ARRAYS[name].tobytes() for name in ARRAYS)
        assert num_refused > len(content) / 5 / 4

    def test_a_pickle_is_never_loaded(self, path, tmp_path):
        class Touch:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "loaded"),)

        np.savez(path, a=np.array([Touch()], dtype=object))
        with pytest.raises(UserError, match="corrupt"):
            read_checkpoint(path)
        assert not (tmp_path / "loaded").exists()

    def test_another_format_version(self, path, monkeypatch):
        monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 99)
        write_checkpoint(path, ARRAYS, FACTS)
        monkeypatch.undo()
        with pytest.raises(UserError, match="format 99, expected 1"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("b", "message"),
    [
        ({}, r"b in file must have shape \(1, 1\). Received: none"),
        ({"b": np.zeros(3, np.float32)}, r"b in file must have shape .* Received: \(3,\)"),
    ],
)
def test_a_misfit_is_named_and_nothing_assigned(b, message):
    variables = {"a": tf.Variable([0.0, 0.0]), "b": tf.Variable([[0.0]])}
    with pytest.raises(UserError, match=message):
        restore_variables(variables, {"a": np.ones(2, np.float32), **b}, "file")
    assert variables["a"].numpy().tolist() == [0.0, 0.0]


def values_of(model, optimizer):
    return [variable.numpy() for variable in [*model.weights, *optimizer.variables]]


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
    assert_all_equal(values_of(model, optimizer), values)
    tf.nest.assert_same_structure(loaded.carried, state.carried)
    assert_all_equal(loaded.carried, state.carried)
    assert loaded.trigger.get_state() == state.trigger.get_state()
    assert dataclasses.replace(loaded, carried=[], trigger=None) == dataclasses.replace(
        state, carried=[], trigger=None
    )


@pytest.mark.parametrize("damage", ["state", "trigger", "field", "type", "batch_size"])
def test_what_does_not_fit_is_refused(path, saved, damage):
    arrays, facts = read_checkpoint(path)
    if damage == "field":
        facts["state"]["weather"] = "fine"
    elif damage == "type":
        facts["state"]["best_loss"] = "2.0"
    elif damage != "batch_size":
        del facts[damage]
    write_checkpoint(path, arrays, facts)
    model, optimizer = make_model(make_config())
    before = values_of(model, optimizer)
    config = make_config(batch_size=5) if damage == "batch_size" else make_config()
    with pytest.raises(UserError, match="cannot be resumed|carried/0 in .* must have shape"):
        TrainingState.load(path, model, optimizer, config)
    assert_all_equal(values_of(model, optimizer), before)
