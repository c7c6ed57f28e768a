"""The library against the reference vectors: every number, within rounding.

`tests/reference/README.md` says how the vectors were made.
"""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import losses, ops
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.optimizers import NTASGD
from tests.test_case import assert_close, floatx

VOCABULARY, EMBEDDING_DIM, HIDDEN_DIM, NUM_LAYERS = 61, 12, 20, 3
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
DTYPES = list(TOLERANCE)


@pytest.fixture(scope="module")
def reference():
    """The vectors, by name."""
    with np.load(pathlib.Path(__file__).parent.parent / "reference" / "awd_lstm.npz") as file:
        return dict(file)


def weight_names(reference):
    return [key.removeprefix("param/") for key in reference if key.startswith("param/")]


def initial_states(reference, dtype, zero=False):
    states = []
    for layer in range(NUM_LAYERS):
        state = [tf.constant(reference[f"initial_{x}{layer}"], dtype) for x in ("h", "c")]
        states.append([tf.zeros_like(x) for x in state] if zero else state)
    return states


def check_states(actual, reference, part, tolerance):
    for layer, (hidden, cell) in enumerate(actual):
        assert_close(hidden, reference[f"{part}/final_h{layer}"], tolerance, f"h{layer}")
        assert_close(cell, reference[f"{part}/final_c{layer}"], tolerance, f"c{layer}")


class Functions:
    """The model put together from the library's functions, time-major, with given masks."""

    def __init__(self, reference, dtype, masked=False):
        self.reference, self.dtype, self.masked = reference, dtype, masked
        self.weights = {
            name: keras.Variable(reference[f"param/{name}"], dtype=dtype, name=name.split("/")[-1])
            for name in weight_names(reference)
        }

    def mask(self, name):
        value = self.reference[f"mask/{name}"] if self.masked else 1.0
        return tf.constant(value, self.dtype)

    def __call__(self, tokens, targets, states, chunk_size=None):
        """Logits, the three parts of the loss, and the final states."""
        weights = {name: tf.convert_to_tensor(value) for name, value in self.weights.items()}
        embedding, bias = weights["embedding"], weights["softmax_bias"]
        hidden = tf.gather(embedding * self.mask("embedding_mask"), tokens)
        hidden *= self.mask("input_mask")
        finals = []
        for layer in range(NUM_LAYERS):
            name = f"lstm{layer}"
            raw, *final = ops.lstm(
                hidden,
                *states[layer],
                weights[f"{name}/kernel"],
                weights[f"{name}/recurrent_kernel"] * self.mask(f"{name}/recurrent_kernel_mask"),
                weights[f"{name}/bias"],
                time_major=True,
                implementation="portable",
            )
            finals.append(final)
            last = layer == NUM_LAYERS - 1
            hidden = raw * self.mask("output_mask" if last else f"{name}/hidden_mask")
        total, num_tokens = ops.sequence_cross_entropy(
            hidden, embedding, bias, targets, chunk_size=chunk_size
        )
        parts = loss_parts(total / tf.cast(num_tokens, total.dtype), raw, hidden, self.reference)
        logits = tf.einsum("tbd,vd->tbv", hidden, embedding) + bias
        return logits, parts, finals


def loss_parts(nats, raw, dropped, reference, batch_major=False):
    """The loss for the tokens, AR and TAR; the penalties take time as axis 1."""
    if not batch_major:
        raw, dropped = (tf.transpose(x, [1, 0, 2]) for x in (raw, dropped))
    activation = losses.activation_regularization(dropped, float(reference["alpha"]))
    temporal = losses.temporal_activation_regularization(raw, float(reference["beta"]))
    return nats, activation, temporal


def make_optimizer(reference):
    return NTASGD(
        keras.optimizers.SGD(
            float(reference["lr"]),
            weight_decay=float(reference["weight_decay"]),
            global_clipnorm=float(reference["clip"]),
        )
    )


def check_trajectory(reference, dtype, variables, compute):
    """Eight windows through clip, decay, scaled rate and average.

    Args:
        reference: The vectors.
        dtype: The type, for its tolerance.
        variables: The model's variables, by name.
        compute: Function of (tokens, targets, states), time-major ids, that gives the three
            parts of the loss and the next states.
    """
    tolerance = TOLERANCE[dtype]
    optimizer = make_optimizer(reference)
    optimizer.build(list(variables.values()))
    states = initial_states(reference, dtype, zero=True)
    stream, start = reference["stream"], 0
    first_averaged = int(reference["trajectory/averaging_starts_at_window"])
    for window, length in enumerate(reference["trajectory/window_lengths"]):
        length = int(length)
        tokens = stream[start : start + length]
        targets = stream[start + 1 : start + length + 1]
        start += length
        if window == first_averaged:
            optimizer.trigger()
        values = [variable.value for variable in variables.values()]
        with tf.GradientTape() as tape:
            parts, states = compute(tokens, targets, states)
            loss = tf.add_n(list(parts))
        expected = reference["trajectory/nll"][window]
        assert_close(parts[0], expected, tolerance, f"window {window}")
        gradients = tape.gradient(loss, values)
        optimizer.learning_rate.assign(float(reference["lr"]) * length / float(reference["bptt"]))
        optimizer.apply(gradients, list(variables.values()))
    assert optimizer.num_averaged == window + 1 - first_averaged
    for name, variable in variables.items():
        assert_close(variable, reference[f"trajectory/final/{name}"], tolerance, name)
    with optimizer.averaged_weights():
        for name, variable in variables.items():
            assert_close(variable, reference[f"trajectory/average/{name}"], tolerance, name)


def check_parts(parts, reference, part, tolerance):
    names = ("nll", "activation_penalty", "temporal_penalty")
    for name, value in zip(names, parts, strict=True):
        assert_close(value, reference[f"{part}/{name}"], tolerance, name)


@pytest.mark.parametrize("dtype", DTYPES)
class TestFunctions:
    @pytest.mark.parametrize("part", ["eval", "train"])
    @pytest.mark.parametrize("chunk_size", [None, 8])
    @pytest.mark.parametrize("traced", [False, True])
    def test_window(self, reference, dtype, part, chunk_size, traced):
        tolerance = TOLERANCE[dtype]
        functions = Functions(reference, dtype, masked=part == "train")
        states = initial_states(reference, dtype)
        variables = functions.weights

        def compute():
            with tf.GradientTape() as tape:
                logits, parts, finals = functions(
                    reference["tokens"], reference["targets"], states, chunk_size
                )
                loss = tf.add_n(list(parts))
            gradients = tape.gradient(loss, {name: v.value for name, v in variables.items()})
            dense = {name: tf.convert_to_tensor(x) for name, x in gradients.items()}
            return logits, parts, finals, dense

        logits, parts, finals, gradients = (tf.function(compute) if traced else compute)()
        assert_close(logits, reference[f"{part}/logits"], tolerance, "logits")
        check_parts(parts, reference, part, tolerance)
        check_states(finals, reference, part, tolerance)
        for name, gradient in gradients.items():
            assert_close(gradient, reference[f"{part}/grad/{name}"], tolerance, name)

    def test_trajectory(self, reference, dtype):
        with floatx(dtype):
            functions = Functions(reference, dtype)

            def compute(tokens, targets, states):
                _, parts, finals = functions(tokens, targets, states)
                return parts, finals

            check_trajectory(reference, dtype, functions.weights, compute)


def make_model(reference):
    """The model with the reference's weights, and its variables by the reference's names."""
    model = AWDLSTMLanguageModel(
        VOCABULARY,
        embedding_dim=EMBEDDING_DIM,
        hidden_dim=HIDDEN_DIM,
        num_layers=NUM_LAYERS,
        input_dropout=0.0,
        hidden_dropout=0.0,
        output_dropout=0.0,
        embedding_dropout=0.0,
        weight_dropout=0.0,
    )
    model(np.zeros((1, 1), "int32"))
    variables = {
        "embedding": model.backbone.embedding.embeddings,
        "softmax_bias": model.decoder.bias,
    }
    for index, layer in enumerate(model.backbone.lstm_layers):
        for name in ("kernel", "recurrent_kernel", "bias"):
            variables[f"lstm{index}/{name}"] = getattr(layer, name)
    assert set(variables) == set(weight_names(reference))
    assert {id(x) for x in variables.values()} == {id(x) for x in model.trainable_variables}
    for name, variable in variables.items():
        variable.assign(reference[f"param/{name}"])
    return model, variables


def model_parts(model, reference, tokens, targets, states):
    """Logits, the three parts of the loss, and the final states; tokens are time-major."""
    token_ids, target_ids = tf.constant(tokens.T), tf.constant(targets.T)
    raw, dropped, finals = model.backbone(token_ids, states=states, training=True)
    total, num_tokens = ops.sequence_cross_entropy(
        dropped, model.backbone.embedding.embeddings, model.decoder.bias, target_ids
    )
    nats = total / tf.cast(num_tokens, total.dtype)
    return loss_parts(nats, raw, dropped, reference, batch_major=True), finals


@pytest.mark.parametrize("dtype", DTYPES)
class TestModel:
    @pytest.mark.parametrize("traced", [False, True])
    def test_window(self, reference, dtype, traced):
        tolerance = TOLERANCE[dtype]
        with floatx(dtype):
            model, variables = make_model(reference)
            states = initial_states(reference, dtype)

            def compute():
                token_ids = tf.constant(reference["tokens"].T)
                logits, finals = model(token_ids, states=states)
                with tf.GradientTape() as tape:
                    parts, _ = model_parts(
                        model, reference, reference["tokens"], reference["targets"], states
                    )
                    loss = tf.add_n(list(parts))
                gradients = tape.gradient(loss, {name: v.value for name, v in variables.items()})
                dense = {name: tf.convert_to_tensor(x) for name, x in gradients.items()}
                return logits, parts, finals, dense

            logits, parts, finals, gradients = (tf.function(compute) if traced else compute)()
        assert logits.dtype == dtype
        logits = tf.transpose(logits, [1, 0, 2])
        assert_close(logits, reference["eval/logits"], tolerance, "logits")
        check_parts(parts, reference, "eval", tolerance)
        check_states(finals, reference, "eval", tolerance)
        for name, gradient in gradients.items():
            assert_close(gradient, reference[f"eval/grad/{name}"], tolerance, name)

    def test_gradients_through_the_logits(self, reference, dtype):
        # The same through the model's own logits and a plain cross-entropy.
        tolerance = TOLERANCE[dtype]
        with floatx(dtype):
            model, variables = make_model(reference)
            states = initial_states(reference, dtype)
            with tf.GradientTape() as tape:
                logits, _ = model(tf.constant(reference["tokens"].T), states=states)
                targets = tf.constant(reference["targets"].T)
                nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
                nll = tf.reduce_mean(nats)
                penalties = model_parts(
                    model, reference, reference["tokens"], reference["targets"], states
                )[0][1:]
                loss = nll + tf.add_n(list(penalties))
            gradients = tape.gradient(loss, [v.value for v in variables.values()])
        assert_close(nll, reference["eval/nll"], tolerance)
        for name, gradient in zip(variables, gradients, strict=True):
            assert_close(gradient, reference[f"eval/grad/{name}"], tolerance, name)

    def test_trajectory(self, reference, dtype):
        with floatx(dtype):
            model, variables = make_model(reference)

            def compute(tokens, targets, states):
                return model_parts(model, reference, tokens, targets, states)

            check_trajectory(reference, dtype, variables, compute)
