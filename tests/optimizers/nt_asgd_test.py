"""Tests of the averaging optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.optimizers import NTASGD, averaged_weights
from tests.optimizers.tiny import (
    averages,
    make_built,
    make_data,
    make_gradients,
    make_model,
    make_variables,
    values,
)
from tests.test_case import (
    assert_all_close,
    assert_all_equal,
    assert_close,
    assert_equal,
    check_config,
    dtype_policy,
    save_and_load,
)


class TestAverage:
    def test_equals_weights_until_the_second_averaged_step(self):
        optimizer, variables = make_built()
        for step in range(3):
            assert_all_equal(averages(optimizer, variables), values(variables))
            assert not optimizer.triggered
            optimizer.apply(make_gradients(step), variables)
        optimizer.trigger()
        assert optimizer.triggered and optimizer.num_averaged == 0
        assert_all_equal(averages(optimizer, variables), values(variables))
        optimizer.apply(make_gradients(3), variables)
        assert optimizer.num_averaged == 1
        assert_all_equal(averages(optimizer, variables), values(variables))

    def test_frozen_variables_are_their_own_average(self):
        optimizer, variables = make_built()
        optimizer.trigger()
        for step in range(3):
            optimizer.apply(make_gradients(step)[1:], variables[1:])
        first, second = averages(optimizer, variables)
        assert_equal(first, variables[0])
        assert np.any(second != variables[1].numpy())

    @pytest.mark.filterwarnings("ignore:Gradients do not exist")
    def test_variables_without_a_gradient(self):
        optimizer, variables = make_built()
        optimizer.trigger()
        gradients = make_gradients(0)
        tf.function(lambda: optimizer.apply([None, gradients[1]], variables))()
        assert optimizer.num_averaged == 1
        assert_all_equal(averages(optimizer, variables), values(variables))

    def test_first_step_sets_the_average_without_rounding(self):
        variable = keras.Variable([1e8])
        optimizer = NTASGD(keras.optimizers.SGD(1.0))
        optimizer.build([variable])
        optimizer.trigger()
        variable.assign([0.1])
        optimizer.apply([tf.zeros(1)], [variable])
        assert_equal(averages(optimizer, [variable])[0], variable)

    @pytest.mark.parametrize(
        "make_optimizer",
        [
            lambda: keras.optimizers.SGD(0.5, weight_decay=0.1, global_clipnorm=0.25),
            lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
            lambda: keras.optimizers.Adam(0.1),
            lambda: keras.optimizers.RMSprop(0.1, clipvalue=0.3),
        ],
    )
    def test_mean_of_the_iterates_of_any_optimizer(self, make_optimizer):
        plain, plain_variables = make_optimizer(), make_variables()
        plain.build(plain_variables)
        optimizer, variables = make_built(make_optimizer())
        record = []
        for step in range(8):
            if step == 3:
                optimizer.trigger()
            plain.apply(make_gradients(step), plain_variables)
            optimizer.apply(make_gradients(step), variables)
            # The wrapper does not change the steps.
            assert_all_equal(values(variables), values(plain_variables))
            if step >= 3:
                record.append(values(variables))
                expected = [np.mean(iterates, axis=0) for iterates in zip(*record, strict=True)]
                assert_all_close(averages(optimizer, variables), expected, 1e-6)
        assert optimizer.num_averaged == 5
        assert int(optimizer.iterations) == 8

    def test_constraints_come_before_the_average(self):
        variable = keras.Variable([1.0, 1.0])
        variable.constraint = keras.constraints.NonNeg()
        optimizer = NTASGD(keras.optimizers.SGD(1.0))
        optimizer.build([variable])
        optimizer.trigger()
        optimizer.apply([tf.constant([5.0, 0.5])], [variable])
        assert_equal(variable, [0.0, 0.5])
        assert_equal(averages(optimizer, [variable])[0], [0.0, 0.5])

    def test_repeated_rows_of_sparse_gradients(self):
        gradient = tf.IndexedSlices(
            tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([1, 1]), tf.constant([3, 2])
        )
        results = []
        for one in (gradient, tf.convert_to_tensor(gradient)):
            variable = keras.Variable(np.ones((3, 2)), dtype="float32")
            optimizer = NTASGD(keras.optimizers.SGD(0.5))
            optimizer.build([variable])
            optimizer.trigger()
            for _ in range(2):
                optimizer.apply([one], [variable])
            results.append((variable.numpy(), averages(optimizer, [variable])[0]))
        assert_all_equal(results[0], results[1])
        assert_equal(results[0][0][1], [-3.0, -5.0])


class TestAveragedWeights:
    def make_triggered(self):
        optimizer, variables = make_built()
        optimizer.trigger()
        for step in range(3):
            optimizer.apply(make_gradients(step), variables)
        return optimizer, variables

    def test_restores_on_an_exception(self):
        optimizer, variables = self.make_triggered()
        before = values(variables)
        expected = averages(optimizer, variables)
        with pytest.raises(KeyboardInterrupt), optimizer.averaged_weights():
            assert_all_equal(values(variables), expected)
            with pytest.raises(RuntimeError, match="nested"), optimizer.averaged_weights():
                pass
            assert_all_equal(values(variables), expected)
            raise KeyboardInterrupt
        assert_all_equal(values(variables), before)
        # It can be used again.
        assert_all_equal(averages(optimizer, variables), expected)


def test_the_end_of_a_dataset_of_unknown_size_is_not_counted():
    model = make_model(NTASGD("sgd"))
    model.optimizer.trigger()
    dataset = tf.data.Dataset.from_tensor_slices(make_data()).batch(2)
    dataset = dataset.filter(lambda x, y: True)
    model.fit(dataset, epochs=2, verbose=0)
    assert model.optimizer.num_averaged == 8


class TestDelegation:
    def test_learning_rate(self):
        optimizer, _ = make_built(keras.optimizers.SGD(0.5))
        assert float(optimizer.learning_rate) == 0.5
        optimizer.learning_rate = 0.25
        assert float(optimizer.optimizer.learning_rate) == 0.25
        optimizer.learning_rate.assign(0.125)
        assert float(optimizer.optimizer.learning_rate) == 0.125
        assert float(optimizer.learning_rate) == 0.125

    def test_any_identifier(self):
        assert isinstance(NTASGD("adam").optimizer, keras.optimizers.Adam)

    def test_weights_excluded_from_decay(self):
        bias, kernel = keras.Variable([1.0], name="bias"), keras.Variable([1.0], name="kernel")
        optimizer = NTASGD(keras.optimizers.SGD(1.0, weight_decay=0.1))
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build([bias, kernel])
        optimizer.apply([tf.zeros(1), tf.zeros(1)])
        assert float(bias[0]) == 1.0
        assert float(kernel[0]) == pytest.approx(0.9)

    def test_accumulated_gradients_count_once(self):
        variable = keras.Variable([0.0])
        optimizer = NTASGD(keras.optimizers.SGD(1.0, gradient_accumulation_steps=2))
        optimizer.build([variable])
        optimizer.trigger()
        step = tf.function(lambda: optimizer.apply([tf.ones(1)], [variable]))
        for count in (0, 1, 1, 2):
            step()
            assert optimizer.num_averaged == count
        assert_equal(variable, [-2.0])
        assert_equal(averages(optimizer, [variable])[0], [-1.5])


class TestMixedPrecision:
    def test_refuses_loss_scaling_inside(self):
        with pytest.raises(ValueError, match=r"LossScaleOptimizer\(NTASGD"):
            NTASGD(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)))

    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
    def test_averaged_weights_of_a_model(self, policy):
        with dtype_policy(policy):
            model = make_model(NTASGD(keras.optimizers.SGD(0.01)))
        inputs, targets = make_data()
        model.optimizer.build(model.trainable_variables)
        getattr(model.optimizer, "inner_optimizer", model.optimizer).trigger()
        record = []
        for _ in range(2):
            model.train_on_batch(inputs, targets)
            record.append(values(model.trainable_variables))
        with averaged_weights(model):
            averaged = values(model.trainable_variables)
        for actual, iterates in zip(averaged, zip(*record)):
            assert_close(actual, np.mean(iterates, axis=0), 1e-6)
        assert_all_equal(values(model.trainable_variables), record[-1])

    def test_averaged_weights_of_a_model_with_another_optimizer(self):
        with pytest.raises(ValueError, match="NTASGD"):
            averaged_weights(make_model("sgd"))

    def test_skipped_step_never_reaches_the_average(self):
        with dtype_policy("mixed_float16"):
            model = make_model(NTASGD(keras.optimizers.SGD(0.01)))
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        optimizer = model.optimizer.inner_optimizer
        assert isinstance(optimizer, NTASGD)
        inputs, targets = make_data()
        model.train_on_batch(inputs, targets)
        optimizer.trigger()
        model.train_on_batch(inputs, targets)
        assert optimizer.num_averaged == 1
        weights = values(model.trainable_variables)
        expected = averages(optimizer, model.trainable_variables)
        scale = float(model.optimizer.dynamic_scale)
        model.train_on_batch(inputs * np.inf, targets)
        assert float(model.optimizer.dynamic_scale) == scale / 2
        assert optimizer.num_averaged == 1
        assert_all_equal(values(model.trainable_variables), weights)
        assert_all_equal(averages(optimizer, model.trainable_variables), expected)
        model.train_on_batch(inputs, targets)
        assert optimizer.num_averaged == 2


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
        # Both continue identically.
        for each in (model, revived):
            each.fit(inputs, targets, batch_size=4, verbose=0, shuffle=False)
        assert revived.optimizer.num_averaged == 4
        assert_all_equal(revived.get_weights(), model.get_weights())
        assert_all_equal(
            averages(revived.optimizer, revived.trainable_variables),
            averages(model.optimizer, model.trainable_variables),
        )

    @pytest.mark.parametrize("carry", ["set_weights", "own_variables"])
    def test_variables_carry_over_to_another_wrapper(self, carry):
        optimizer, variables = make_built(keras.optimizers.SGD(0.5, momentum=0.9))
        optimizer.trigger()
        optimizer.record = [2.0, 3.0]
        for step in range(3):
            optimizer.apply(make_gradients(step), variables)
        other, _ = make_built(keras.optimizers.SGD(0.5, momentum=0.9))
        if carry == "set_weights":
            other.set_weights(values(optimizer.variables))
        else:
            store = {}
            optimizer.save_own_variables(store)
            other.load_own_variables(store)
            assert other.record == [2.0, 3.0]
        assert int(other.iterations) == 3 and other.triggered
        assert_all_equal(values(other.variables), values(optimizer.variables))
