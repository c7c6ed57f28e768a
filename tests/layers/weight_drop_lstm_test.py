"""Tests of the LSTM whose recurrent weights are dropped."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from tests.layers.dropped_lstm import BATCH, FEATURES, RATE, TIME, UNITS, dropped_layer, make_inputs
from tests.test_case import (
    assert_close,
    assert_equal,
    check_config,
    check_layer,
    save_and_load,
    seed_tensor,
    to_numpy,
)


def make_pair(dtype="float32", **options):
    """A `keras.layers.LSTM` and a `WeightDropLSTM` with the same weights."""
    expected = keras.layers.LSTM(UNITS, dtype=dtype, **options)
    actual = layers.WeightDropLSTM(UNITS, dtype=dtype, **options)
    for layer in (expected, actual):
        layer.build((None, None, FEATURES))
    generator = np.random.default_rng(1)
    expected.set_weights([generator.normal(size=w.shape) for w in expected.weights])
    actual.set_weights(expected.get_weights())
    return expected, actual


def results_and_gradients(layer, inputs, **options):
    """Flat outputs, and the gradients to the inputs and the weights."""
    inputs = tf.convert_to_tensor(inputs)
    watched = [inputs, *(weight.value for weight in layer.trainable_weights)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = keras.tree.flatten(layer(inputs, **options))
        loss = tf.add_n([tf.reduce_sum(tf.sin(x) * (index + 1)) for index, x in enumerate(outputs)])
    return outputs, tape.gradient(loss, watched)


class TestBasics:
    @pytest.mark.parametrize("return_sequences", [False, True])
    @pytest.mark.parametrize("return_state", [False, True])
    def test_layer(self, return_sequences, return_state):
        check_layer(
            lambda: layers.WeightDropLSTM(
                UNITS,
                weight_dropout=RATE,
                return_sequences=return_sequences,
                return_state=return_state,
            ),
            make_inputs(),
            # The states stay in float32, whatever the policy.
            output_dtypes=["compute", "float32", "float32"] if return_state else ["compute"],
        )

    def test_config_keeps_every_argument(self):
        layer = layers.WeightDropLSTM(
            UNITS,
            weight_dropout=0.3,
            kernel_initializer="zeros",
            recurrent_initializer=keras.initializers.RandomUniform(-0.2, 0.2),
            bias_initializer="ones",
            unit_forget_bias=False,
            kernel_regularizer=keras.regularizers.L2(0.1),
            recurrent_regularizer="l1",
            bias_regularizer="l2",
            activity_regularizer="l2",
            kernel_constraint="non_neg",
            recurrent_constraint=keras.constraints.MaxNorm(2.0),
            bias_constraint="unit_norm",
            return_sequences=True,
            return_state=True,
            seed=3,
            name="dropped",
        )
        config = check_config(layer).get_config()
        assert config["units"] == UNITS and config["weight_dropout"] == 0.3
        assert config["return_sequences"] is True and config["return_state"] is True
        assert config["unit_forget_bias"] is False
        assert config["seed"] == 3 and config["name"] == "dropped"
        for name in ("kernel", "recurrent", "bias"):
            assert config[f"{name}_initializer"] is not None
            assert config[f"{name}_regularizer"] is not None
            assert config[f"{name}_constraint"] is not None
        assert config["activity_regularizer"] is not None
        assert config["recurrent_initializer"]["config"]["maxval"] == 0.2

    def test_defaults_are_those_of_keras(self):
        keras.utils.set_random_seed(0)
        actual, expected = layers.WeightDropLSTM(UNITS), keras.layers.LSTM(UNITS)
        ours, theirs = actual.get_config(), expected.get_config()
        for name, value in ours.items():
            if name in theirs and name not in ("name", "seed"):
                assert theirs[name] == value, name
        actual.build((None, None, FEATURES))
        bias = actual.bias.numpy()
        assert_equal(bias, np.repeat([0.0, 1.0, 0.0, 0.0], UNITS))
        recurrent = actual.recurrent_kernel.numpy()
        assert_close(recurrent @ recurrent.T, np.eye(UNITS), 1e-5)

    def test_weights(self):
        layer = dropped_layer()
        assert [w.name for w in layer.weights] == ["kernel", "recurrent_kernel", "bias"]
        assert len(layer.trainable_weights) == 3
        assert layer.count_params() == 4 * UNITS * (FEATURES + UNITS + 1)

    def test_regularizers_and_constraints_act(self):
        layer = layers.WeightDropLSTM(
            UNITS, recurrent_regularizer=keras.regularizers.L2(0.5), kernel_constraint="non_neg"
        )
        layer(make_inputs())
        expected = 0.5 * np.sum(layer.recurrent_kernel.numpy() ** 2)
        assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-5)
        assert isinstance(layer.kernel.constraint, keras.constraints.NonNeg)


class TestWithoutDropping:
    @pytest.mark.parametrize("dtype,tolerance", [("float64", 1e-10), ("float32", 1e-5)])
    @pytest.mark.parametrize("return_sequences", [False, True])
    @pytest.mark.parametrize("return_state", [False, True])
    @pytest.mark.parametrize("training", [False, True])
    def test_equals_keras(self, dtype, tolerance, return_sequences, return_state, training):
        options = {"return_sequences": return_sequences, "return_state": return_state}
        expected, actual = make_pair(dtype, **options)
        inputs = make_inputs(dtype)
        outputs, gradients = results_and_gradients(actual, inputs, training=training)
        values, value_gradients = results_and_gradients(expected, inputs, training=training)
        assert len(outputs) == len(values)
        for output, value in zip(outputs, values, strict=True):
            assert_close(output, value, tolerance)
        for gradient, value in zip(gradients, value_gradients, strict=True):
            assert_close(gradient, value, tolerance)

    def test_initial_state(self):
        options = {"return_sequences": True, "return_state": True}
        expected, actual = make_pair("float64", **options)
        generator = np.random.default_rng(4)
        states = [tf.constant(generator.normal(size=(BATCH, UNITS))) for _ in range(2)]
        inputs = make_inputs("float64")
        for output, value in zip(
            actual(inputs, initial_state=states),
            expected(inputs, initial_state=states),
            strict=True,
        ):
            assert_close(output, value, 1e-10)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(states)
            ours = tf.reduce_sum(tf.sin(actual(inputs, initial_state=states)[0]))
            theirs = tf.reduce_sum(tf.sin(expected(inputs, initial_state=states)[0]))
        for output, value in zip(
            tape.gradient(ours, states), tape.gradient(theirs, states), strict=True
        ):
            assert_close(output, value, 1e-10)

    def test_windows_with_carried_state_equal_one_sequence(self):
        _, layer = make_pair("float64", return_sequences=True, return_state=True)
        inputs = make_inputs("float64")
        whole = layer(inputs)
        first, *states = layer(inputs[:, :2])
        second, *finals = layer(inputs[:, 2:], initial_state=states)
        assert_close(tf.concat([first, second], axis=1), whole[0], 1e-12)
        for final, value in zip(finals, whole[1:], strict=True):
            assert_close(final, value, 1e-12)

    @pytest.mark.parametrize("return_sequences", [False, True])
    def test_time_major(self, return_sequences):
        layer = layers.WeightDropLSTM(UNITS, return_sequences=return_sequences, return_state=True)
        inputs = make_inputs()
        outputs, *expected = layer(inputs)
        turned = tf.transpose(inputs, (1, 0, 2))
        actual, *finals = layer(turned, time_major=True)
        if return_sequences:
            actual = tf.transpose(actual, (1, 0, 2))
        assert_equal(actual, outputs)
        for final, other in zip(finals, expected, strict=True):
            assert_equal(final, other)
        symbolic = layer(keras.Input((None, FEATURES), batch_size=TIME), time_major=True)
        assert symbolic[1].shape == (None, UNITS)

    @pytest.mark.parametrize("return_sequences", [False, True])
    @pytest.mark.parametrize("traced", [False, True])
    def test_right_padded_mask_equals_keras(self, return_sequences, traced):
        options = {"return_sequences": return_sequences, "return_state": True}
        expected, actual = make_pair("float64", **options)
        inputs = make_inputs("float64")
        mask = np.arange(TIME) < np.array([[TIME], [4], [1]])

        def compute(layer):
            def function(inputs, mask):
                return results_and_gradients(layer, inputs, mask=mask)

            return (tf.function(function) if traced else function)(
                tf.constant(inputs), tf.constant(mask)
            )

        outputs, gradients = compute(actual)
        values, value_gradients = compute(expected)
        for output, value in zip(outputs, values, strict=True):
            assert_close(output, value, 1e-10)
        for gradient, value in zip(gradients, value_gradients, strict=True):
            assert_close(gradient, value, 1e-10)

    def test_refuses_a_mask_with_time_first(self):
        with pytest.raises(ValueError, match="batch-major inputs only"):
            layers.WeightDropLSTM(UNITS)(
                make_inputs(), mask=np.ones((TIME, BATCH), bool), time_major=True
            )

    def test_keras_does_not_compile_it_with_xla(self):
        assert layers.WeightDropLSTM(UNITS).supports_jit is False

    def test_mask_of_an_embedding(self):
        ids = np.array([[3, 1, 2, 0], [2, 0, 0, 0], [1, 2, 3, 1]])
        expected, actual = make_pair(return_sequences=False)
        embedding = keras.layers.Embedding(4, FEATURES, mask_zero=True)
        assert_close(actual(embedding(ids)), expected(embedding(ids)), 1e-5)

    def test_refuses_masks_that_are_not_right_padded(self):
        layer = dropped_layer(0.0)
        mask = np.ones((BATCH, TIME), bool)
        mask[0, 0] = False
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="pad"):
            layer(make_inputs(), mask=mask)


class TestArguments:
    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), True, "half", None])
    def test_refuses_rates(self, rate):
        with pytest.raises(ValueError, match="weight_dropout"):
            layers.WeightDropLSTM(UNITS, weight_dropout=rate)

    @pytest.mark.parametrize("units", [0, -1])
    def test_refuses_units(self, units):
        with pytest.raises(ValueError, match="units"):
            layers.WeightDropLSTM(units)

    @pytest.mark.parametrize(
        "argument,value,alternative",
        [
            ("recurrent_dropout", 0.2, "weight_dropout"),
            ("activation", "relu", "LSTM"),
            ("recurrent_activation", "hard_sigmoid", "LSTM"),
            ("stateful", True, "initial_state"),
            ("unroll", True, "unroll"),
            ("use_bias", False, "bias"),
        ],
    )
    def test_refuses_with_the_alternative(self, argument, value, alternative):
        with pytest.raises(ValueError, match=argument) as error:
            layers.WeightDropLSTM(UNITS, **{argument: value})
        assert alternative in str(error.value).replace(f"`{argument}`", "", 1)


class TestInModels:
    def make_model(self):
        return keras.Sequential(
            [
                keras.Input((None,), dtype="int32"),
                keras.layers.Embedding(6, 8),
                layers.WeightDropLSTM(
                    12, weight_dropout=0.2, return_sequences=True, seed=1, name="dropped"
                ),
                keras.layers.Dense(6),
            ]
        )

    def test_fit_save_and_load(self):
        keras.utils.set_random_seed(1)
        model = self.make_model()
        model.compile(
            keras.optimizers.Adam(0.05),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        ids = np.tile(np.arange(6), (8, 3))
        inputs, targets = ids[:, :-1], ids[:, 1:]
        history = model.fit(inputs, targets, batch_size=8, epochs=20, verbose=0).history
        assert history["loss"][0] > 1.4
        assert history["loss"][-1] < 0.5
        assert model.evaluate(inputs, targets, verbose=0) < 0.5
        revived = save_and_load(model)
        assert_equal(revived.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
        assert revived.get_layer("dropped").weight_dropout == 0.2
        revived.fit(inputs, targets, epochs=1, verbose=0)

    def test_initial_state_in_a_functional_model(self):
        sequence = keras.Input((None, FEATURES))
        states = [keras.Input((UNITS,)), keras.Input((UNITS,))]
        layer = layers.WeightDropLSTM(UNITS, return_state=True)
        model = keras.Model([sequence, *states], layer(sequence, initial_state=states))
        revived = save_and_load(model)
        generator = np.random.default_rng(5)
        arrays = [make_inputs()]
        arrays += [generator.normal(size=(BATCH, UNITS)).astype("float32") for _ in range(2)]
        outputs = model(arrays)
        assert np.any(to_numpy(outputs[0]) != to_numpy(layer(arrays[0])[0]))
        for before, after in zip(outputs, revived(arrays), strict=True):
            assert_equal(after, before)

    def test_windows_of_any_length_trace_once(self):
        layer, traces = dropped_layer(), []

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None, FEATURES)),
                tf.TensorSpec((2,), "int32"),
            ]
        )
        def call(inputs, seed):
            traces.append(1)
            return layer(inputs, training=True, seed=seed)

        for time in (1, 4, 6):
            inputs = make_inputs(time=time)
            expected = layer(inputs, training=True, seed=seed_tensor(3, time))
            assert_close(call(inputs, seed_tensor(3, time)), expected, 1e-5)
        assert len(traces) == 1
