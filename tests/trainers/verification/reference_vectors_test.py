"""The library against the reference vectors: every number, within rounding.

`trainers/verification/reference/README.md` says how the vectors were made.
"""

import keras
import pytest
import tensorflow as tf

from awd_keras import losses, ops
from awd_keras.models.train_step import make_train_step
from awd_keras.optimizers import NTASGD
from tests.test_case import assert_close, floatx
from trainers.verification.reference_vectors import compare_model, make_model, read_vectors

TOLERANCE = {"float64": 1e-9, "float32": 2e-5}


@pytest.fixture(params=list(TOLERANCE))
def dtype(request):
    with floatx(request.param):
        yield request.param


@pytest.fixture(scope="module")
def vectors():
    return read_vectors()


def assert_all_close(comparisons, dtype, expected_names):
    assert {name for name, _, _ in comparisons} == set(expected_names)
    for name, actual, expected in comparisons:
        assert_close(actual, expected, TOLERANCE[dtype], name)


def names_in(vectors, part):
    return [name.removeprefix(part) for name in vectors if name.startswith(part)]


def test_the_model(vectors, dtype):
    assert_all_close(compare_model(dtype), dtype, names_in(vectors, "eval/"))


@pytest.mark.parametrize("part", ["eval", "train"])
@pytest.mark.parametrize("chunk_size", [None, 8])
def test_the_functions_with_given_masks(vectors, dtype, part, chunk_size):
    weights = {
        name: tf.constant(vectors[f"param/{name}"], dtype) for name in names_in(vectors, "param/")
    }

    def mask(name):
        return tf.constant(vectors[f"mask/{name}"] if part == "train" else 1.0, dtype)

    @tf.function
    def compute(weights):
        results = {}
        with tf.GradientTape() as tape:
            tape.watch(weights)
            dropped = tf.gather(weights["embedding"] * mask("embedding_mask"), vectors["tokens"])
            dropped *= mask("input_mask")
            for layer in range(3):
                states = (tf.constant(vectors[f"initial_{x}{layer}"], dtype) for x in "hc")
                recurrent_kernel = weights[f"lstm{layer}/recurrent_kernel"]
                raw, results[f"final_h{layer}"], results[f"final_c{layer}"] = ops.lstm(
                    dropped,
                    *states,
                    weights[f"lstm{layer}/kernel"],
                    recurrent_kernel * mask(f"lstm{layer}/recurrent_kernel_mask"),
                    weights[f"lstm{layer}/bias"],
                    time_major=True,
                )
                dropped = raw * mask("output_mask" if layer == 2 else f"lstm{layer}/hidden_mask")
            total, num_tokens = ops.sequence_cross_entropy(
                dropped,
                weights["embedding"],
                weights["softmax_bias"],
                vectors["targets"],
                chunk_size=chunk_size,
            )
            parts = {
                "nll": total / tf.cast(num_tokens, dtype),
                "activation_penalty": losses.activation_regularization(
                    tf.transpose(dropped, (1, 0, 2)), float(vectors["alpha"])
                ),
                "temporal_penalty": losses.temporal_activation_regularization(
                    tf.transpose(raw, (1, 0, 2)), float(vectors["beta"])
                ),
            }
            loss = tf.add_n(list(parts.values()))
        gradients = tape.gradient(loss, weights)
        logits = tf.einsum("tbd,vd->tbv", dropped, weights["embedding"]) + weights["softmax_bias"]
        gradients = {f"grad/{n}": tf.convert_to_tensor(g) for n, g in gradients.items()}
        return results | parts | gradients | {"logits": logits}

    results = compute(weights)
    comparisons = [(name, value, vectors[f"{part}/{name}"]) for name, value in results.items()]
    assert_all_close(comparisons, dtype, names_in(vectors, f"{part}/"))


def plain_step(model, optimizer, vectors):
    """The arithmetic of `make_train_step` with a learning rate in float64, in which it is exact."""

    def step(inputs, targets, states, rate, _):
        with tf.GradientTape() as tape:
            raw, dropped, states = model.backbone(inputs, states=states, training=True)
            logits = model.decoder(dropped)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            nll = tf.reduce_mean(nats)
            ar = losses.activation_regularization(dropped, float(vectors["alpha"]))
            tar = losses.temporal_activation_regularization(raw, float(vectors["beta"]))
            loss = nll + ar + tar
        variables = model.trainable_variables
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        gradients, _ = tf.clip_by_global_norm(gradients, float(vectors["clip"]))
        optimizer.learning_rate.assign(rate)
        optimizer.apply(gradients, variables)
        return nll, None, states

    return step


def library_step(model, optimizer, vectors):
    train_step = make_train_step(
        model,
        optimizer,
        ar_alpha=float(vectors["alpha"]),
        tar_beta=float(vectors["beta"]),
        global_clipnorm=float(vectors["clip"]),
        seed=1,
    )
    return lambda *arguments: train_step(*arguments[:3], *map(tf.constant, arguments[3:]))


@pytest.mark.parametrize("make_step", [plain_step, library_step])
def test_eight_windows_of_training(vectors, dtype, make_step):
    """Clipping, weight decay, length-scaled learning rate, and averaging from the fifth window."""
    if make_step is library_step and dtype == "float64":
        pytest.skip("The learning rate of a step is float32.")
    model, variables = make_model(vectors, dtype)
    decay = float(vectors["weight_decay"])
    optimizer = NTASGD(keras.optimizers.SGD(float(vectors["lr"]), weight_decay=decay))
    optimizer.build(model.trainable_variables)
    step = make_step(model, optimizer, vectors)
    states, start = model.initial_state(vectors["stream"].shape[1]), 0
    first_averaged = int(vectors["trajectory/averaging_starts_at_window"])
    for window, length in enumerate(vectors["trajectory/window_lengths"].tolist()):
        if window == first_averaged:
            optimizer.trigger()
        rate = float(vectors["lr"]) * length / float(vectors["bptt"])
        inputs, targets = (
            tf.constant(vectors["stream"][i : i + length].T, tf.int32) for i in (start, start + 1)
        )
        loss, _, states = step(inputs, targets, states, rate, window)
        start += length
        assert_close(loss, vectors["trajectory/nll"][window], TOLERANCE[dtype], f"window {window}")
    assert int(optimizer.num_averaged) == window + 1 - first_averaged

    def compare(kind):
        values = [(name, v.numpy(), vectors[f"{kind}/{name}"]) for name, v in variables.items()]
        assert_all_close(values, dtype, names_in(vectors, f"{kind}/"))

    compare("trajectory/final")
    with optimizer.averaged_weights():
        compare("trajectory/average")
