"""Tests of the averaging optimizer in configurations, model files and checkpoints."""

import keras
import pytest
import tensorflow as tf

from awd_keras.optimizers import NTASGD
from tests.optimizers.tiny import (
    assert_all_equal,
    averages,
    make_built,
    make_data,
    make_gradients,
    make_model,
    make_variables,
    values,
)
from tests.test_case import check_config, save_and_load


class TestSaving:
    def test_config(self):
        optimizer = NTASGD(
            keras.optimizers.SGD(30.0, weight_decay=1.2e-6, global_clipnorm=0.25), name="mine"
        )
        revived = check_config(optimizer)
        assert revived.name == "mine"
        assert isinstance(revived.optimizer, keras.optimizers.SGD)
        assert revived.optimizer.weight_decay == 1.2e-6
        assert revived.optimizer.global_clipnorm == 0.25
        assert NTASGD(keras.optimizers.Adam()).name == "nt_asgd"

    def test_keras_serialization(self):
        optimizer = NTASGD(keras.optimizers.Adam(0.25))
        revived = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert isinstance(revived, NTASGD)
        assert isinstance(revived.optimizer, keras.optimizers.Adam)
        assert revived.get_config() == optimizer.get_config()

    @pytest.mark.parametrize("optimizer_class", [keras.optimizers.SGD, keras.optimizers.Adam])
    def test_compiled_model_survives_a_file(self, optimizer_class):
        model = make_model(NTASGD(optimizer_class(0.05)))
        inputs, targets = make_data()
        model.fit(inputs, targets, batch_size=4, verbose=0)
        model.optimizer.trigger()
        model.fit(inputs, targets, batch_size=4, verbose=0, shuffle=False)
        revived = save_and_load(model)
        assert isinstance(revived.optimizer, NTASGD)
        assert revived.optimizer.triggered and revived.optimizer.num_averaged == 2
        before, after = model.optimizer.variables, revived.optimizer.variables
        assert len(before) == len(after)
        assert_all_equal(values(after), values(before))
        # Both go on alike.
        for each in (model, revived):
            each.fit(inputs, targets, batch_size=4, verbose=0, shuffle=False)
        assert revived.optimizer.num_averaged == 4
        assert_all_equal(revived.get_weights(), model.get_weights())
        assert_all_equal(
            averages(revived.optimizer, revived.trainable_variables),
            averages(model.optimizer, model.trainable_variables),
        )

    @pytest.mark.parametrize("built_before", [True, False])
    def test_checkpoint(self, tmp_path, built_before):
        optimizer, variables = make_built(keras.optimizers.Adam(0.1))
        for step in range(4):
            if step == 2:
                optimizer.trigger()
            optimizer.apply(make_gradients(step), variables)
        first, second = variables
        path = tf.train.Checkpoint(optimizer=optimizer, first=first, second=second).save(
            str(tmp_path / "checkpoint")
        )
        other, other_variables = NTASGD(keras.optimizers.Adam(0.7)), make_variables()
        checkpoint = tf.train.Checkpoint(
            optimizer=other, first=other_variables[0], second=other_variables[1]
        )
        if built_before:
            other.build(other_variables)
            status = checkpoint.restore(path)
        else:
            status = checkpoint.restore(path)
            other.build(other_variables)
        status.assert_existing_objects_matched()
        assert other.triggered and other.num_averaged == 2
        assert float(other.learning_rate) == float(optimizer.learning_rate)
        for each, its_variables in ((optimizer, variables), (other, other_variables)):
            each.apply(make_gradients(9), its_variables)
        assert_all_equal(values(other_variables), values(variables))
        assert_all_equal(averages(other, other_variables), averages(optimizer, variables))
