"""Tests of one training step: its trace, its arithmetic, its masks."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.errors import InputError
from awd_keras.losses import activation_regularization, temporal_activation_regularization
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.models.train_step import make_train_step
from awd_keras.ops.random import fold_in, run_seed
from awd_keras.optimizers import NTASGD
from tests.test_case import assert_all_close, assert_close, floatx

WORDS, BATCH = 15, 3
DECAY = 0.01


def make(seed=5, dtype="float32", learning_rate=1.0, kernel="auto", **changes):
    """Makes a model, an optimizer and a training step, with AR and TAR large enough to matter."""
    settings = {"embedding_dim": 6, "hidden_dim": 8, "num_layers": 2, "seed": 3}
    model = AWDLSTMLanguageModel(WORDS, dtype=dtype, **{**settings, **changes})
    optimizer = NTASGD(keras.optimizers.SGD(learning_rate, weight_decay=DECAY))
    optimizer.build(model.trainable_variables)
    step = make_train_step(
        model,
        optimizer,
        ar_alpha=2.0,
        tar_beta=3.0,
        global_clipnorm=0.1,
        seed=seed,
        kernel=kernel,
        padded_lengths=(4, 8, 20),
    )
    return model, optimizer, step


@pytest.fixture(scope="module")
def shared():
    """A training step shared by the tests, so that it is traced once, and the initial weights."""
    model, optimizer, step = make()
    variables = [*model.weights, *optimizer.variables]
    return model, optimizer, step, [(v, v.numpy()) for v in variables]


@pytest.fixture
def made(shared):
    model, optimizer, step, initial = shared
    for variable, value in initial:
        variable.assign(value)
    return model, optimizer, step


def make_window(length, seed=0):
    ids = np.random.default_rng(seed).integers(WORDS, size=(BATCH, length + 1)).astype(np.int32)
    return tf.constant(ids[:, :-1]), tf.constant(ids[:, 1:])


def make_states(model, seed=0):
    generator = np.random.default_rng(seed)
    return tf.nest.map_structure(
        lambda x: tf.constant(0.3 * generator.normal(size=x.shape), tf.float32),
        model.initial_state(BATCH),
    )


def call(step, window, states, learning_rate=1.0, number=0):
    return step(*window, states, tf.constant(learning_rate), tf.constant(number))


def values(model):
    return [variable.numpy() for variable in model.trainable_variables]


def by_hand(model, window, states, learning_rate, number, seed=5):
    """Returns loss, norm, new weights and states, computed from the logits step by step."""
    inputs, targets = window
    with tf.GradientTape() as tape:
        raw, dropped, states = model.backbone(
            inputs, states, training=True, seed=fold_in(run_seed(seed), number)
        )
        logits = model.decoder(dropped)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
        )
        objective = loss + activation_regularization(dropped, 2.0)
        objective += temporal_activation_regularization(raw, 3.0)
    gradients = tape.gradient(objective, [v.value for v in model.trainable_variables])
    gradients = [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]
    norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients))
    scale = min(1.0, 0.1 / norm)
    weights = [
        weight - learning_rate * (scale * gradient + DECAY * weight)
        for weight, gradient in zip(values(model), gradients)
    ]
    return loss.numpy(), norm, weights, states


class TestTrace:
    def test_once_for_all_lengths_before_and_after_the_trigger(self, made):
        model, optimizer, step = made
        states = model.initial_state(BATCH)
        for number, length in enumerate((1, 2, 7, 30, 5, 9)):
            if number == 3:
                optimizer.trigger()
            _, _, states = call(step, make_window(length), states, 0.1 * length, number)
        assert step.experimental_get_tracing_count() == 1
        assert optimizer.num_averaged == 3


class TestArithmetic:
    @pytest.mark.parametrize("number", [0, 7])
    def test_equals_a_step_by_hand(self, made, number):
        model, _, step = made
        window, states = make_window(11), make_states(model)
        loss, norm, weights, finals = by_hand(model, window, states, 0.7, number)
        assert norm > 0.1  # so that clipping has an effect
        actual = call(step, window, states, 0.7, number)
        assert_close(actual[0], loss, 2e-5, "loss")
        assert_close(actual[1], norm, 2e-5, "norm")
        tf.nest.map_structure(lambda a, b: assert_close(a, b, 2e-5), actual[2], finals)
        assert_all_close(model.trainable_variables, weights, 2e-5)

    def test_untied_with_repeated_words(self):
        # The gradient of the embedding may have one slice per occurrence of a word. The norm of
        # the slices is not the norm of their sum.
        model, _, step = make(tie_weights=False, embedding_dropout=0.0)
        inputs, targets = make_window(9)
        window = tf.zeros_like(inputs) + 4, targets
        states = make_states(model)
        loss, norm, weights, _ = by_hand(model, window, states, 1.0, 0)
        actual = call(step, window, states)
        assert_close(actual[0], loss, 2e-5, "loss")
        assert_close(actual[1], norm, 2e-5, "norm")
        assert_all_close(model.trainable_variables, weights, 2e-5)


def test_xla_refuses_an_adaptive_softmax():
    model, optimizer, _ = make(adaptive_softmax_cutoffs=(5,))
    penalties = {"ar_alpha": 2.0, "tar_beta": 3.0, "global_clipnorm": 0.1}
    with pytest.raises(InputError, match=r"full softmax.*adaptive_softmax_cutoffs=\(5,\)"):
        make_train_step(model, optimizer, seed=5, kernel="xla", **penalties)


class TestMasks:
    def test_are_a_function_of_seed_and_step(self, made):
        model, _, step = made
        window, states, start = make_window(8), make_states(model), values(model)

        def loss(number):
            for variable, value in zip(model.trainable_variables, start):
                variable.assign(value)
            return float(call(step, window, states, number=number)[0])

        losses = [loss(number) for number in (0, 1, 2, 0, 2)]
        assert losses[3] == losses[0] and losses[4] == losses[2]
        assert len(set(losses)) == 3


class TestBfloat16:
    def test_what_must_be_exact_stays_in_float32(self):
        model, optimizer, step = make(dtype="mixed_bfloat16")
        exact, _, exact_step = make()
        window = make_window(10)
        loss, norm, states = call(step, window, model.initial_state(BATCH))
        optimizer.trigger()
        call(step, window, states, number=1)
        for tensor in (loss, norm, *tf.nest.flatten(states)):
            assert tensor.dtype == tf.float32
        for variable in (*model.weights, *optimizer._averages):
            assert variable.dtype == "float32"
        exact_loss, exact_norm, _ = call(exact_step, window, exact.initial_state(BATCH))
        assert_close(loss, exact_loss, 0.01, "loss")
        assert_close(norm, exact_norm, 0.05, "norm")


def train(model, optimizer, step):
    """Trains on windows of 5, 8 and 7 words, averaging from the second; returns all numbers."""
    states, numbers = model.initial_state(BATCH), []
    for number, length in enumerate((5, 8, 7)):
        if number == 1:
            optimizer.trigger()
        *scalars, states = call(step, make_window(length, number), states, 0.5, number)
        numbers += scalars
    return [*numbers, *tf.nest.flatten(states), *model.weights, *optimizer.variables]


@pytest.fixture(scope="module")
def compiled():
    """A model, its optimizer, its step, and the function in it that XLA compiles."""
    compiled, function = [], tf.function

    def spy(*args, jit_compile=None, **kwargs):
        result = function(*args, jit_compile=jit_compile, **kwargs)
        if jit_compile:
            compiled.append(result)
        return result

    with mock.patch.object(tf, "function", spy):
        return *make(kernel="xla"), *compiled


class TestXLA:
    """The step under XLA, where all windows of these tests are padded to 8 words."""

    def test_trains_like_the_ordinary_step(self, compiled):
        model, optimizer, step, compiled_update = compiled
        actual, expected = train(model, optimizer, step), train(*make(kernel="portable"))
        assert_all_close(actual, expected, 2e-6)
        assert compiled_update.experimental_get_tracing_count() == 1

    def test_padding_in_float64(self):
        with floatx("float64"):
            actual = train(*make(kernel="xla", dtype="float64", tie_weights=False))
            expected = train(*make(kernel="portable", dtype="float64", tie_weights=False))
        assert_all_close(actual, expected, 1e-12)

    def test_bfloat16(self):
        actual, expected = train(*make(kernel="xla", dtype="mixed_bfloat16")), train(*make())
        for value, reference in zip(actual, expected, strict=True):
            assert value.dtype == reference.dtype
            assert_close(value, reference, 0.1)

    def test_loops_of_known_length(self, compiled):
        model, _, _, compiled_update = compiled
        ids = tf.zeros((BATCH, 8), tf.int32)
        states = model.initial_state(BATCH)

        def text(length, stage):
            arguments = ids, ids, states, tf.constant(length), tf.constant(length)
            return compiled_update.experimental_get_compiler_ir(*arguments)(stage=stage)

        # Neither the step nor the true length is compiled into the program.
        assert text(5, "hlo") == text(8, "hlo")
        program = text(8, "optimized_hlo")
        loops = [line for line in program.splitlines() if " while(" in line]
        assert len(loops) == 4  # forward and backward, two layers
        assert all('known_trip_count":{"n":"8"}' in line for line in loops)

    def test_one_device_only(self):
        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            with pytest.raises(InputError, match="kernel=xla trains on one device"):
                make(kernel="xla")

    @pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="a GPU is present")
    def test_cudnn_needs_a_gpu(self):
        with pytest.raises(InputError, match="kernel=cudnn needs a GPU"):
            make(kernel="cudnn")
