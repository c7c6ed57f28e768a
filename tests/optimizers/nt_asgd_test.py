"""Tests of the averaging optimizer."""

import keras
import numpy as np
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
from tests.test_case import assert_close, assert_equal, dtype_policy, floatx


class TestAverage:
    def test_three_steps_by_hand(self):
        variable = keras.Variable([4.0, -8.0])
        optimizer = NTASGD(keras.optimizers.SGD(0.5))
        optimizer.build([variable])
        optimizer.trigger()
        expected = [
            ([3.0, -7.0], [3.0, -7.0]),
            ([2.0, -6.0], [2.5, -6.5]),
            ([1.0, -5.0], [2.0, -6.0]),
        ]
        for count, (weights, average) in enumerate(expected, start=1):
            optimizer.apply([tf.constant([2.0, -2.0])], [variable])
            assert_equal(variable, weights)
            assert optimizer.num_averaged == count
            assert_equal(averages(optimizer, [variable])[0], average)

    def test_equals_weights_before_the_trigger(self):
        optimizer, variables = make_built()
        assert_all_equal(averages(optimizer, variables), values(variables))
        for step in range(3):
            optimizer.apply(make_gradients(step), variables)
            assert_all_equal(averages(optimizer, variables), values(variables))
        assert optimizer.num_averaged == 0
        assert not optimizer.triggered

    def test_equals_weights_loaded_before_the_trigger(self):
        optimizer, variables = make_built()
        for variable in variables:
            variable.assign(variable.value * 3.0)
        assert_all_equal(averages(optimizer, variables), values(variables))

    def test_trigger_itself_counts_nothing(self):
        optimizer, variables = make_built()
        optimizer.apply(make_gradients(0), variables)
        optimizer.trigger()
        assert optimizer.triggered
        assert optimizer.num_averaged == 0
        assert_all_equal(averages(optimizer, variables), values(variables))
        # The first step after it sets the average: what came before leaves no trace.
        optimizer.apply(make_gradients(1), variables)
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

    def test_triggering_again_changes_nothing(self):
        optimizer, variables = make_built()
        optimizer.trigger()
        for step in range(3):
            optimizer.apply(make_gradients(step), variables)
        before = averages(optimizer, variables)
        optimizer.trigger()
        assert optimizer.num_averaged == 3
        assert_all_equal(averages(optimizer, variables), before)

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
            # Wrapped or not, the steps are the same.
            assert_all_equal(values(variables), values(plain_variables))
            if step >= 3:
                record.append(values(variables))
                expected = [np.mean(iterates, axis=0) for iterates in zip(*record, strict=True)]
                for average, value in zip(averages(optimizer, variables), expected, strict=True):
                    assert_close(average, value, 1e-6)
        assert optimizer.num_averaged == 5
        assert int(optimizer.iterations) == 8

    def test_float64_average_is_exact(self):
        with floatx("float64"):
            optimizer, variables = make_built(keras.optimizers.SGD(0.1), make_variables("float64"))
            optimizer.trigger()
            record = []
            for step in range(50):
                optimizer.apply(make_gradients(step, "float64"), variables)
                record.append(values(variables))
            for average, iterates in zip(
                averages(optimizer, variables), zip(*record, strict=True), strict=True
            ):
                assert_close(average, np.mean(iterates, axis=0), 1e-14)

    def test_learning_rate_of_the_current_step(self):
        variable = keras.Variable([0.0])
        optimizer = NTASGD(keras.optimizers.SGD(1.0))
        optimizer.build([variable])
        optimizer.trigger()
        for rate in (1.0, 10.0, 100.0):
            optimizer.learning_rate.assign(rate)
            optimizer.apply([tf.constant([-1.0])], [variable])
        assert_equal(variable, [111.0])
        assert_close(averages(optimizer, [variable])[0], [(1.0 + 11.0 + 111.0) / 3], 1e-6)

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

    def test_apply_gradients(self):
        optimizer, variables = make_built()
        other, other_variables = make_built()
        for each in (optimizer, other):
            each.trigger()
        for step in range(2):
            pairs = zip(make_gradients(step), variables, strict=True)
            optimizer.apply_gradients(list(pairs))
            other.apply(make_gradients(step), other_variables)
        assert_all_equal(averages(optimizer, variables), averages(other, other_variables))

    def test_one_trace_before_and_after_the_trigger(self):
        optimizer, variables = make_built()
        eager, eager_variables = make_built()
        traces = []

        @tf.function
        def step(first, second):
            traces.append(1)
            optimizer.apply([first, second], variables)

        for index in range(6):
            if index == 3:
                optimizer.trigger()
                eager.trigger()
            step(*make_gradients(index))
            eager.apply(make_gradients(index), eager_variables)
            assert optimizer.num_averaged == eager.num_averaged == max(0, index - 2)
        assert len(traces) == 1
        for actual, expected in zip(
            values(variables) + averages(optimizer, variables),
            values(eager_variables) + averages(eager, eager_variables),
            strict=True,
        ):
            assert_close(actual, expected, 1e-6)


class TestAveragedWeights:
    def make_triggered(self):
        optimizer, variables = make_built()
        optimizer.trigger()
        for step in range(3):
            optimizer.apply(make_gradients(step), variables)
        return optimizer, variables

    def test_restores_bit_for_bit(self):
        optimizer, variables = self.make_triggered()
        before = values(variables)
        for _ in range(10):
            with optimizer.averaged_weights():
                assert np.any(variables[0].numpy() != before[0])
        assert_all_equal(values(variables), before)

    def test_restores_on_an_exception(self):
        optimizer, variables = self.make_triggered()
        before = values(variables)
        expected = averages(optimizer, variables)
        with pytest.raises(KeyboardInterrupt), optimizer.averaged_weights():
            assert_all_equal(values(variables), expected)
            raise KeyboardInterrupt
        assert_all_equal(values(variables), before)
        # And it can be entered again.
        assert_all_equal(averages(optimizer, variables), expected)

    def test_restores_what_was_overwritten_inside(self):
        optimizer, variables = self.make_triggered()
        before, expected = values(variables), averages(optimizer, variables)
        with optimizer.averaged_weights():
            for variable in variables:
                variable.assign(variable.value * np.nan)
        assert_all_equal(values(variables), before)
        assert_all_equal(averages(optimizer, variables), expected)

    def test_nesting_raises_and_restores(self):
        optimizer, variables = self.make_triggered()
        before, expected = values(variables), averages(optimizer, variables)
        with optimizer.averaged_weights():
            with pytest.raises((RuntimeError, ValueError)), optimizer.averaged_weights():
                pass
            assert_all_equal(values(variables), expected)
        assert_all_equal(values(variables), before)

    def test_training_goes_on_from_the_raw_weights(self):
        optimizer, variables = self.make_triggered()
        other, other_variables = self.make_triggered()
        with optimizer.averaged_weights():
            pass
        for each, its_variables in ((optimizer, variables), (other, other_variables)):
            each.apply(make_gradients(7), its_variables)
        assert_all_equal(values(variables), values(other_variables))
        assert_all_equal(averages(optimizer, variables), averages(other, other_variables))

    def test_model_evaluates_with_the_average(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.1)))
        inputs, targets = make_data()
        model.fit(inputs, targets, epochs=1, verbose=0)
        model.optimizer.trigger()
        model.fit(inputs, targets, batch_size=2, epochs=2, verbose=0)
        raw = model.predict(inputs, verbose=0)
        expected = averages(model.optimizer, model.trainable_variables)
        with model.optimizer.averaged_weights():
            averaged = model.predict(inputs, verbose=0)
        assert_close(averaged, inputs @ expected[0] + expected[1], 1e-5)
        assert np.any(averaged != raw)
        assert_equal(model.predict(inputs, verbose=0), raw)


class TestDelegation:
    def test_learning_rate(self):
        optimizer, _ = make_built(keras.optimizers.SGD(0.5))
        assert float(optimizer.learning_rate) == 0.5
        optimizer.learning_rate = 0.25
        assert float(optimizer.optimizer.learning_rate) == 0.25
        optimizer.learning_rate.assign(0.125)
        assert float(optimizer.optimizer.learning_rate) == 0.125
        assert float(optimizer.learning_rate) == 0.125

    def test_learning_rate_callbacks_reach_it(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.5)))
        callback = keras.callbacks.LearningRateScheduler(lambda epoch: 0.25 / (epoch + 1))
        model.fit(*make_data(), epochs=2, verbose=0, callbacks=[callback])
        assert float(model.optimizer.optimizer.learning_rate) == 0.125

    def test_variables_are_counted_once(self):
        optimizer, variables = make_built(keras.optimizers.Adam(0.1))
        paths = [id(variable) for variable in optimizer.variables]
        assert len(set(paths)) == len(paths)
        inner = {id(variable) for variable in optimizer.optimizer.variables}
        assert inner <= set(paths)
        # An average for each variable, the switch and the count at least.
        assert len(paths) >= len(inner) + len(variables) + 2

    def test_wrapped_attribute_is_not_taken_for_loss_scaling(self):
        optimizer, _ = make_built()
        assert isinstance(optimizer.optimizer, keras.optimizers.SGD)
        assert not hasattr(optimizer, "inner_optimizer")

    @pytest.mark.parametrize("wrong", [0.1, None, keras.layers.Dense])
    def test_refuses_what_is_no_optimizer(self, wrong):
        with pytest.raises((TypeError, ValueError), match="optimizer"):
            NTASGD(wrong)


class TestMixedPrecision:
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

    def test_bfloat16_policy_averages_in_float32(self):
        with dtype_policy("mixed_bfloat16"):
            model = make_model(NTASGD(keras.optimizers.SGD(0.01)))
        inputs, targets = make_data()
        model.train_on_batch(inputs, targets)
        model.optimizer.trigger()
        record = []
        for _ in range(4):
            model.train_on_batch(inputs, targets)
            record.append(values(model.trainable_variables))
        for average, iterates in zip(
            averages(model.optimizer, model.trainable_variables),
            zip(*record, strict=True),
            strict=True,
        ):
            assert average.dtype == "float32"
            assert_close(average, np.mean(iterates, axis=0), 1e-6)
