"""Tests of the weight-dropped LSTM."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import layers
from awd_keras.ops import dropout_mask
from tests.test_case import (
    assert_all_close,
    assert_all_equal,
    assert_close,
    assert_equal,
    check_config,
    check_layer,
    dtype_policy,
    seed_tensor,
    to_numpy,
)

BATCH, TIME, FEATURES, UNITS = 3, 6, 4, 5
RATE = 0.5
# Padded on the left, with a hole, on the right, and everywhere.
MASK = np.array([[0, 1, 1, 0, 1, 0], [1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]], bool)
# Arguments that our kernels do not support.
KERAS_LOOP = [
    {"activation": "relu"},
    {"recurrent_activation": "hard_sigmoid"},
    {"use_bias": False},
    {"unroll": True},
    {"implementation": 1},
    {"recurrent_dropout": 0.3, "seed": 1},
]


def make_inputs(dtype="float32"):
    return np.random.default_rng(0).normal(size=(BATCH, TIME, FEATURES)).astype(dtype)


def make_states(dtype="float32"):
    return list(np.random.default_rng(1).normal(size=(2, BATCH, UNITS)).astype(dtype))


def make_layer(weight_dropout=RATE, cls=layers.WeightDropLSTM, **options):
    """Returns a layer with fixed weights that returns sequences."""
    if cls is layers.WeightDropLSTM:
        options["weight_dropout"] = weight_dropout
    layer = cls(UNITS, **{"return_sequences": True, **options})
    layer.build((BATCH, TIME, FEATURES))
    generator = np.random.default_rng(2)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def results_and_gradients(layer, inputs=None, jit_compile=None, **options):
    """Returns outputs, and gradients with respect to inputs and weights, from a traced call."""
    inputs = tf.constant(make_inputs(layer.compute_dtype) if inputs is None else inputs)

    @tf.function(jit_compile=jit_compile)
    def compute(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = keras.tree.flatten(layer(inputs, **options))
            loss = tf.add_n([tf.reduce_sum(tf.sin(x) * (i + 1)) for i, x in enumerate(outputs)])
        return outputs + tape.gradient(loss, [inputs, *(w.value for w in layer.weights)])

    return compute(inputs)


def test_layer():
    check_layer(
        lambda: layers.WeightDropLSTM(UNITS, RATE, return_state=True),
        make_inputs(),
        output_dtypes=[None, "float32", "float32"],
    )
    check_layer(
        lambda: layers.WeightDropLSTM(UNITS, RATE, return_sequences=True, activation="relu"),
        make_inputs(),
    )


class TestEqualsKeras:
    """Without dropout the layer is `keras.layers.LSTM`, whatever its arguments."""

    def compare(self, tolerance=1e-10, dtype="float64", jit_compile=None, call=(), **options):
        call, options = dict(call), {"return_state": True, **options, "dtype": dtype}
        actual, expected = (
            results_and_gradients(make_layer(0.0, cls, **options), jit_compile=jit_compile, **call)
            for cls in (layers.WeightDropLSTM, keras.layers.LSTM)
        )
        assert_all_close(actual, expected, tolerance)

    def test_float32(self):
        self.compare(1e-5, "float32", return_sequences=False)

    @pytest.mark.parametrize("training", [False, True])
    def test_initial_state(self, training):
        self.compare(call={"initial_state": make_states("float64"), "training": training})

    @pytest.mark.parametrize("return_sequences", [False, True])
    @pytest.mark.parametrize(
        "options",
        [{}, {"go_backwards": True}, {"zero_output_for_mask": True}, *KERAS_LOOP[:5]],
        ids=str,
    )
    def test_any_mask(self, options, return_sequences):
        call = {"mask": MASK, "initial_state": make_states("float64")}
        self.compare(call=call, return_sequences=return_sequences, **options)

    def test_xla(self):
        self.compare(1e-5, "float32", jit_compile=True, call={"mask": MASK})

    @pytest.mark.parametrize("options", [{"dropout": 0.3}, *KERAS_LOOP[5:]], ids=str)
    def test_dropout(self, options):
        self.compare(call={"training": True}, **{"seed": 1, **options})

    @pytest.mark.parametrize("options", [{}, {"activation": "relu"}], ids=str)
    def test_stateful(self, options):
        for cls in (keras.layers.LSTM, layers.WeightDropLSTM):
            layer = make_layer(0.0, cls, stateful=True, **options)
            windows = [layer(make_inputs()[:, start : start + 3]) for start in (0, 3)]
            layer.reset_state()
            assert_close(tf.concat(windows, axis=1), layer(make_inputs()), 1e-5)
        whole = make_layer(0.0, keras.layers.LSTM, **options)(make_inputs())
        assert_close(tf.concat(windows, axis=1), whole, 1e-5)
        with pytest.raises(ValueError, match=f"first call, {BATCH}. Received: batch_size=1"):
            layer(make_inputs()[:1])

    def test_configuration(self):
        config = keras.layers.LSTM(UNITS, activation="relu", go_backwards=True).get_config()
        layer = layers.WeightDropLSTM.from_config(config)
        own = {"weight_dropout": 0.0, "use_cudnn": "auto", "implementation": 2}
        assert layer.get_config() == {**config, **own}
        layer = check_config(layers.WeightDropLSTM(UNITS, use_cudnn=False, implementation=1))
        assert layer.use_cudnn is False and layer.cell.implementation == 1

    def test_weights(self, tmp_path):
        path = tmp_path / "lstm.weights.h5"
        saved, loaded = make_layer(cls=keras.layers.LSTM), layers.WeightDropLSTM(UNITS, RATE)
        loaded.build((None, None, FEATURES))
        keras.saving.save_weights(saved, path)
        keras.saving.load_weights(loaded, path)
        for weight, expected in zip(loaded.weights, saved.weights, strict=True):
            assert weight.name == expected.name
            assert_equal(weight, expected)

    def test_wrappers(self):
        ids = np.array([[3, 1, 2, 0], [2, 0, 0, 0]])
        outputs = []
        for cls in (keras.layers.LSTM, layers.WeightDropLSTM):
            keras.utils.set_random_seed(0)
            model = keras.Sequential(
                [
                    keras.layers.Embedding(4, FEATURES, mask_zero=True),
                    keras.layers.Bidirectional(cls(UNITS, return_sequences=True)),
                    cls(UNITS),
                ]
            )
            outputs.append(model(ids))
        assert_close(outputs[1], outputs[0], 1e-5)


class TestWeightDropout:
    @pytest.mark.parametrize("options", [{}, {"go_backwards": True}, *KERAS_LOOP], ids=str)
    def test_equals_keras_with_a_masked_matrix(self, options):
        """One mask for all rows and steps, in every loop, also for the gradient."""
        actual = make_layer(dtype="float64", **options)
        expected = make_layer(cls=keras.layers.LSTM, dtype="float64", **options)
        mask = dropout_mask((UNITS, 4 * UNITS), RATE, seed_tensor(), "float64")
        expected.cell.recurrent_kernel.assign(expected.cell.recurrent_kernel * mask)
        call = {"training": True, "mask": MASK}
        actual = results_and_gradients(actual, seed=seed_tensor(), **call)
        expected = results_and_gradients(expected, **call)
        expected[3] *= mask
        assert_all_close(actual, expected, 1e-10)

    @pytest.mark.parametrize("options", [{}, {"activation": "relu"}], ids=str)
    def test_not_at_inference(self, options):
        layer, plain = make_layer(**options), make_layer(cls=keras.layers.LSTM, **options)
        before = layer.get_weights()
        assert_close(layer(make_inputs(), seed=seed_tensor()), plain(make_inputs()), 1e-5)
        layer(make_inputs(), training=True)
        assert_all_equal(layer.get_weights(), before)

    @pytest.mark.parametrize("options", [{}, {"activation": "relu"}], ids=str)
    def test_each_call_without_seed_draws_a_mask(self, options):
        layer, same = (make_layer(seed=5, **options) for _ in range(2))
        call = tf.function(lambda: layer(make_inputs(), training=True))
        first, second = to_numpy(call()), to_numpy(call())
        assert np.any(first != second)
        assert_close(same(make_inputs(), training=True), first, 1e-6)
        assert_close(same(make_inputs(), training=True), second, 1e-6)


class TestCall:
    @pytest.mark.parametrize("return_sequences", [False, True])
    @pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
    def test_time_major(self, mask, return_sequences):
        layer = make_layer(return_sequences=return_sequences, return_state=True)
        options = {"training": True, "seed": seed_tensor()}
        expected = layer(make_inputs(), mask=mask, **options)
        inputs = make_inputs().transpose(1, 0, 2)
        mask = None if mask is None else mask.T
        outputs, *states = layer(inputs, mask=mask, time_major=True, **options)
        if return_sequences:
            outputs = tf.transpose(outputs, (1, 0, 2))
        assert_all_equal([outputs, *states], expected)
        symbolic = layer(keras.Input((None, FEATURES), batch_size=TIME), time_major=True)
        assert symbolic[1].shape == (None, UNITS)

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_states_are_not_rounded(self, policy):
        with dtype_policy(policy):
            layer = make_layer(return_state=True)
        # The input gate is closed and the forget gate open, so `c` passes through.
        bias = np.repeat([-100.0, 100.0, 0.0, 0.0], UNITS)
        layer.set_weights([np.zeros((FEATURES, 4 * UNITS)), np.zeros((UNITS, 4 * UNITS)), bias])
        c = tf.fill((BATCH, UNITS), 1.0 + 2.0**-12)
        assert_equal(layer(make_inputs(), initial_state=[tf.zeros_like(c), c])[2], c)

    @pytest.mark.parametrize("initial_state", [make_states()[:1], make_states()[0]])
    def test_refuses_other_states(self, initial_state):
        with pytest.raises(ValueError, match=r"a list of tensors, \[h, c\]"):
            make_layer()(make_inputs(), initial_state=initial_state)

    @pytest.mark.parametrize("options", [{"time_major": True}, {"use_cudnn": True}])
    def test_refuses_what_the_loop_of_keras_cannot_do(self, options):
        layer = layers.WeightDropLSTM(
            UNITS, activation="relu", use_cudnn=options.pop("use_cudnn", "auto")
        )
        with pytest.raises(ValueError, match="`lengths` and `use_cudnn=True` require"):
            layer(make_inputs(), **options)

    @pytest.mark.parametrize(
        "options",
        [{"return_sequences": False}, {"go_backwards": True}, {"stateful": True}],
        ids=str,
    )
    def test_refuses_what_it_would_compute_wrongly(self, options):
        layer = make_layer(**options)
        call = {"time_major": True} if layer.stateful else {"lengths": np.full(BATCH, 2, "int32")}
        with pytest.raises(ValueError, match="does not support|requires return_sequences=True"):
            layer(make_inputs(), **call)


class TestArguments:
    def test_config(self):
        layer = layers.WeightDropLSTM(
            np.int64(UNITS), 0.3, recurrent_regularizer="l1", seed=3, name="dropped"
        )
        config = check_config(layer).get_config()
        assert type(config["units"]) is int
        assert (config["weight_dropout"], config["seed"]) == (0.3, 3)
        assert config["recurrent_regularizer"]["class_name"] == "L1"


class TestInModels:
    def test_fit_resumes_bit_for_bit(self, tmp_path):
        inputs, targets = make_inputs(), np.ones((BATCH, 1))

        def make_model():
            model = keras.Sequential(
                [
                    keras.Input((TIME, FEATURES)),
                    layers.LockedDropout(0.4),
                    layers.WeightDropLSTM(UNITS, RATE, dropout=0.2),
                    keras.layers.Dense(1),
                ]
            )
            model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
            model.optimizer.build(model.trainable_variables)
            return model

        model = make_model()
        model.fit(inputs, targets, verbose=0)
        model.save(tmp_path / "model.keras")
        model.save_weights(tmp_path / "model.weights.h5")
        model.fit(inputs, targets, verbose=0)
        revived = keras.models.load_model(tmp_path / "model.keras")
        restored = make_model()
        restored.load_weights(tmp_path / "model.weights.h5")
        for other in (revived, restored):
            other.fit(inputs, targets, verbose=0)
            assert_all_equal(other.weights, model.weights)

    def test_lite_rt(self, tmp_path):
        """Batch 1 and any number of steps convert, and so do masks."""
        ids = keras.Input((None,), batch_size=1, dtype="int32")
        embedded = keras.layers.Embedding(9, FEATURES, mask_zero=True)(ids)
        model = keras.Model(ids, layers.WeightDropLSTM(UNITS, return_sequences=True)(embedded))
        signature = [tf.TensorSpec((1, None), tf.int32)]
        model.export(tmp_path, verbose=False, input_signature=signature)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
        converter.experimental_enable_resource_variables = False
        interpreter = tf.lite.Interpreter(model_content=converter.convert())
        (argument,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        for words in ([[0, 3, 0, 8, 0]], [[1]]):
            words = np.array(words, "int32")
            interpreter.resize_tensor_input(argument["index"], words.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(argument["index"], words)
            interpreter.invoke()
            assert_close(interpreter.get_tensor(result["index"]), model(words), 1e-5)
