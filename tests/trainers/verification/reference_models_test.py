"""The two models of the reference vectors against them: every number, within rounding.

`awd_keras/verification/reference/README.md` says how the vectors were made.
"""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from tests.test_case import assert_close, assert_equal
from trainers.verification import reference_vectors
from trainers.verification.precision import floatx, tensor_float_32
from trainers.verification.reference_models import (
    Functions,
    LanguageModel,
    loss_parts,
    parameters,
)
from trainers.verification.reference_vectors import (
    compare_trajectory,
    compare_window,
    initial_states,
)

TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
DTYPES = list(TOLERANCE)


@pytest.fixture(scope="module")
def vectors():
    """The vectors, by name."""
    return reference_vectors.read_vectors()


@pytest.fixture
def keras_float_type(dtype):
    with floatx(dtype), tensor_float_32(False):
        yield


def assert_all_close(comparisons, dtype, expected_names):
    names = [name for name, _, _ in comparisons]
    assert sorted(names) == sorted(expected_names)
    for name, actual, expected in comparisons:
        assert_close(actual, expected, TOLERANCE[dtype], name)


def names_of(vectors, *prefixes):
    """The names of the vectors that begin with a prefix, without it."""
    return [k.removeprefix(p) for p in prefixes for k in vectors if k.startswith(p)]


def trajectory_names(vectors):
    weights = [
        name.removeprefix("trajectory/")
        for name in vectors
        if name.startswith(("trajectory/final/", "trajectory/average/"))
    ]
    return [*weights, *(f"window {index}" for index in range(8)), "num_averaged"]


@pytest.mark.usefixtures("keras_float_type")
@pytest.mark.parametrize("dtype", DTYPES)
class TestFunctions:
    @pytest.mark.parametrize("part", ["eval", "train"])
    @pytest.mark.parametrize("chunk_size", [None, 8])
    @pytest.mark.parametrize("traced", [False, True])
    def test_window(self, vectors, dtype, part, chunk_size, traced):
        functions = Functions(vectors, dtype, masked=part == "train", chunk_size=chunk_size)
        comparisons = compare_window(functions, vectors, part, dtype, traced)
        assert_all_close(comparisons, dtype, names_of(vectors, f"{part}/"))

    def test_the_kernel_and_the_chunks_are_those_asked_for(self, vectors, dtype, monkeypatch):
        kernels, chunks = [], []
        lstm, cross_entropy = ops.lstm, ops.sequence_cross_entropy

        def record_kernel(*arguments, implementation, **options):
            kernels.append(implementation)
            return lstm(*arguments, implementation="portable", **options)

        def record_chunks(*arguments, chunk_size):
            chunks.append(chunk_size)
            return cross_entropy(*arguments, chunk_size=chunk_size)

        monkeypatch.setattr(ops, "lstm", record_kernel)
        monkeypatch.setattr(ops, "sequence_cross_entropy", record_chunks)
        functions = Functions(vectors, dtype, chunk_size=8, implementation="cudnn")
        states = initial_states(vectors, dtype)
        functions.losses(vectors["tokens"], vectors["targets"], states)
        assert (kernels, chunks) == (3 * ["cudnn"], [8])

    def test_trajectory(self, vectors, dtype):
        comparisons = compare_trajectory(Functions(vectors, dtype), vectors, dtype)
        assert_all_close(comparisons, dtype, trajectory_names(vectors))


@pytest.mark.usefixtures("keras_float_type")
@pytest.mark.parametrize("dtype", DTYPES)
class TestModel:
    def test_variables(self, vectors, dtype):
        model = LanguageModel(vectors)
        assert set(model.variables) == set(names_of(vectors, "param/"))
        variables = {id(variable) for variable in model.variables.values()}
        assert variables == {id(variable) for variable in model.model.trainable_variables}

    @pytest.mark.parametrize("traced", [False, True])
    def test_window(self, vectors, dtype, traced):
        comparisons = compare_window(LanguageModel(vectors), vectors, "eval", dtype, traced)
        assert_all_close(comparisons, dtype, names_of(vectors, "eval/"))
        assert comparisons[0][0] == "logits" and comparisons[0][1].dtype == dtype

    def test_gradients_through_the_logits(self, vectors, dtype):
        # The same through the model's own logits and a plain cross-entropy.
        model = LanguageModel(vectors)
        tokens, targets = vectors["tokens"], vectors["targets"]
        states = initial_states(vectors, dtype)
        with tf.GradientTape() as tape:
            logits, _ = model.logits(tokens, states)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            nll = tf.reduce_mean(nats)
            _, *penalties = model.losses(tokens, targets, states)[0]
            loss = nll + tf.add_n(penalties)
        gradients = tape.gradient(loss, {k: v.value for k, v in model.variables.items()})
        assert_close(nll, vectors["eval/nll"], TOLERANCE[dtype])
        for name, gradient in gradients.items():
            assert_close(gradient, vectors[f"eval/grad/{name}"], TOLERANCE[dtype], name)

    def test_trajectory(self, vectors, dtype):
        comparisons = compare_trajectory(LanguageModel(vectors), vectors, dtype)
        assert_all_close(comparisons, dtype, trajectory_names(vectors))


def test_parameters():
    vectors = {"param/lstm0/bias": 1, "param/embedding": 2, "mask/param/x": 3, "tokens": 4}
    assert parameters(vectors) == {"lstm0/bias": 1, "embedding": 2}


def test_loss_parts():
    # AR is of the dropped outputs, TAR of the raw ones; each is a mean, times its weight.
    raw, dropped = (np.array([[[1.0], [3.0], [6.0]]]) * factor for factor in (1, 2))
    found = loss_parts(tf.constant(6.0), 4, raw, dropped, {"alpha": 3.0, "beta": 0.5})
    assert_equal(
        tf.stack([tf.cast(part, "float32") for part in found]),
        [1.5, 3.0 * (4 + 36 + 144) / 3, 0.5 * (4 + 9) / 2],
    )
