"""Weights against logits of PyTorch and fastai, and refusals of weights that do not fit.

`tests/io/reference/README.md` says how the reference files were made.
"""

import pathlib
import re

import numpy as np
import pytest

from awd_keras import io
from awd_keras.errors import InputError
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import assert_all_equal, assert_close, assert_equal, floatx, to_numpy

REFERENCE = pathlib.Path(__file__).parent / "reference"
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
SIZES = {
    "vocabulary_size": 19,
    "embedding_dim": 6,
    "hidden_dim": 10,
    "num_layers": 3,
    "tie_weights": True,
    "rnn": "lstm",
}
# The format of each reference file.
FORMATS = {"authors": "authors", "authors_untied": "authors", "fastai": "fastai"}


def sizes_of(name):
    return {**SIZES, "tie_weights": name != "authors_untied"}


def read(name):
    return io.read_state_dict(REFERENCE / f"{name}.safetensors")


def make_model(**changes):
    return AWDLSTMLanguageModel(**{**SIZES, **changes}, weight_dropout=0.5, seed=3)


def check_logits(model, name, tolerance=2e-5):
    """Compares the logits of two windows, with carried states, with the reference."""
    with np.load(REFERENCE / "logits.npz") as file:
        tokens, expected = file["tokens"], file[f"{name}/logits"]
    first, states = model(tokens[:, :5])
    second, _ = model(tokens[:, 5:], states=states)
    logits = np.concatenate([to_numpy(first), to_numpy(second)], axis=1)
    assert_close(logits, expected, tolerance)


def check_refused(state_dict, message, model=None):
    """Checks that the weights are refused, and that none of them is assigned."""
    model = model or make_model()
    before = model.get_weights()
    with pytest.raises(InputError, match=message):
        io.from_pytorch(model, state_dict)
    assert_all_equal(model.get_weights(), before)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("name", list(FORMATS))
def test_import_and_export(name, dtype):
    state_dict = read(name)
    assert io.infer_sizes(state_dict) == sizes_of(name)
    with floatx(dtype):
        model = make_model(**sizes_of(name))
        io.from_pytorch(model, state_dict)
        check_logits(model, name, TOLERANCE[dtype])
        exported = io.to_pytorch(model, FORMATS[name])
    assert set(exported) == set(state_dict)
    for key, array in exported.items():
        if "bias_hh" in key:
            assert not np.any(array)
        elif "bias_ih" in key:
            both = state_dict[key] + state_dict[key.replace("bias_ih", "bias_hh")]
            assert_equal(array, both.astype(dtype))
        else:
            assert_equal(array, state_dict[key].astype(dtype))


@pytest.mark.parametrize("model_format", io.FORMATS)
@pytest.mark.parametrize(
    "changes",
    [
        {"num_layers": 1, "hidden_dim": 6},
        {"num_layers": 1, "tie_weights": False, "hidden_dim": 6},
        {"vocabulary_size": 6, "hidden_dim": 6},
    ],
)
def test_round_trip(model_format, changes):
    model, other = make_model(**changes), make_model(**changes)
    for index, variable in enumerate(model.weights):
        values = np.random.default_rng(index).normal(size=variable.shape)
        variable.assign(values.astype("float32"))
    state_dict = io.to_pytorch(model, model_format)
    assert io.infer_sizes(state_dict) == {**SIZES, **changes}
    io.from_pytorch(other, state_dict)
    assert_all_equal(other.get_weights(), model.get_weights())


def test_tied_matrices_are_one_array():
    state_dict = io.to_pytorch(make_model(), "fastai")
    assert state_dict["1.decoder.weight"] is state_dict["0.encoder.weight"]
    assert state_dict["0.encoder_dp.emb.weight"] is state_dict["0.encoder.weight"]


def test_half_precision():
    state_dict = {name: array.astype("float16") for name, array in read("fastai").items()}
    model = make_model()
    io.from_pytorch(model, state_dict)
    check_logits(model, "fastai", 1e-2)
    model = AWDLSTMLanguageModel(**SIZES, dtype="bfloat16")
    assert {array.dtype.name for array in io.to_pytorch(model, "authors").values()} == {"float32"}


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.0.{name}",
        lambda name: name.replace(".module.", ".").replace("_raw", ""),
    ],
)
def test_variants_of_the_names(rename):
    state_dict = {rename(name): array for name, array in read("authors").items()}
    model = make_model()
    io.from_pytorch(model, state_dict)
    check_logits(model, "authors")


def test_the_names_of_the_word_language_model():
    """The last LSTM of an untied model of the authors has as many units as the others."""
    pattern = r"rnns\.(\d)\.module\.(\w+)_l0(_raw)?"
    state_dict = {
        re.sub(pattern, r"rnn.\2_l\1", name): array
        for name, array in read("authors_untied").items()
    }
    assert "rnn.weight_hh_l2" in state_dict
    sizes = io.infer_sizes(state_dict)
    assert sizes == sizes_of("authors_untied")
    model = make_model(**sizes)
    io.from_pytorch(model, state_dict)
    check_logits(model, "authors_untied")
    state_dict["rnn.weight_ih_l0_reverse"] = np.zeros((40, 6))
    check_refused(state_dict, r"rnn\.weight_ih_l0_reverse is unexpected", make_model(**sizes))


def test_fastai_0_7():
    """Another name of the embedding, and no bias of the softmax."""
    names = {"0.encoder_dp.emb.weight": "0.encoder_with_dropout.embed.weight"}
    state_dict = {names.get(name, name): array for name, array in read("fastai").items()}
    bias = state_dict.pop("1.decoder.bias")
    for name in [name for name in state_dict if name.endswith("weight_hh_l0_raw")]:
        prefix, weight = name.rsplit(".", 1)
        state_dict[f"{prefix}.module.{weight}"] = state_dict.pop(name)
    assert io.infer_sizes(state_dict) == SIZES
    model = make_model()
    with pytest.warns(UserWarning, match=r"contain no decoder\.bias; it is set to zeros"):
        io.from_pytorch(model, state_dict)
    assert not np.any(to_numpy(model.decoder.bias))
    model.decoder.bias.assign(bias)
    check_logits(model, "fastai")


@pytest.mark.parametrize("name", ["authors", "fastai"])
@pytest.mark.parametrize("raw_first", [True, False])
def test_the_raw_matrix_takes_precedence(name, raw_first):
    state_dict = read(name)
    dropped = {
        key.removesuffix("_raw"): np.zeros_like(array)
        for key, array in state_dict.items()
        if key.endswith("_raw")
    }
    model = make_model()
    io.from_pytorch(model, {**state_dict, **dropped} if raw_first else {**dropped, **state_dict})
    check_logits(model, name)


def test_a_tied_decoder_may_be_missing():
    state_dict = read("authors")
    del state_dict["decoder.weight"]
    assert io.infer_sizes(state_dict) == SIZES
    model = make_model()
    io.from_pytorch(model, state_dict)
    check_logits(model, "authors")


def test_all_problems_are_reported():
    state_dict = read("authors")
    del state_dict["rnns.2.module.bias_hh_l0"]
    state_dict["rnns.1.module.bias_ih_l0"] = np.zeros((3,))
    state_dict["rnns.2.module.weight_ih_l0"][3, 4] = np.nan
    state_dict["optimizer.step"] = np.zeros((1,))
    check_refused(
        state_dict,
        r"rnns\.1\.bias_ih_l0 has shape \(3,\), expected \(40,\); "
        r"rnns\.2\.weight_ih_l0 contains NaN or infinity; "
        r"rnns\.2\.bias_hh_l0 is missing, expected shape \(24,\); optimizer\.step is unexpected\.",
    )
    many = {**read("authors"), **{f"x{index:02d}": np.zeros(1) for index in range(20)}}
    check_refused(many, r"x07 is unexpected; and 12 more\.")


def test_another_number_of_layers():
    check_refused(read("authors"), r"rnns\.3\.weight_ih_l0 is missing", make_model(num_layers=4))
    check_refused(read("authors"), r"rnns\.2\.bias_hh_l0 is unexpected", make_model(num_layers=2))


def test_untied_weights():
    state_dict = read("authors")
    state_dict["decoder.weight"] = state_dict["decoder.weight"] + 1.0
    check_refused(state_dict, "decoder.weight differs from encoder.weight")
    # An untied model of fastai has a smaller last LSTM than ours.
    model = make_model(**io.infer_sizes(state_dict))
    check_refused(state_dict, r"rnns\.2\.weight_ih_l0 has shape \(24, 10\)", model)
    with pytest.raises(InputError, match="embedding_dim=6 units. Received: a model with 10"):
        io.to_pytorch(make_model(tie_weights=False), "fastai")


def test_a_huge_layer_index_is_unexpected():
    state_dict = {**read("authors"), f"rnns.{10**9}.bias_ih_l0": np.zeros(40)}
    assert io.infer_sizes(state_dict)["num_layers"] == 4
    check_refused(state_dict, r"rnns\.1000000000\.bias_ih_l0 is unexpected")


@pytest.mark.parametrize("state_dict", [{}, {"encoder.weight": np.zeros(3)}])
def test_sizes_cannot_be_inferred(state_dict):
    with pytest.raises(InputError, match="must contain the matrices"):
        io.infer_sizes(state_dict)


def test_another_cell():
    state_dict = {"encoder.weight": np.zeros((5, 4)), "rnn.weight_hh_l0": np.zeros((12, 4))}  # GRU
    with pytest.raises(InputError, match=r"four times as many rows .* shape \(12, 4\)"):
        io.infer_sizes(state_dict)


def qrnn_logits(state_dict, tokens):
    """The authors' QRNN in NumPy, from zero states, with the loops of `pytorch-qrnn`."""
    x = state_dict["encoder.weight"][tokens].swapaxes(0, 1)
    for layer in range(SIZES["num_layers"]):
        prefix = f"rnns.{layer}.linear.module."
        if layer == 0:
            x = np.concatenate([x, np.concatenate([0 * x[:1], x[:-1]])], axis=2)
        gates = x @ state_dict[f"{prefix}weight_raw"].T + state_dict[f"{prefix}bias"]
        z, f, o = np.split(gates, 3, axis=2)
        f, c, x = 1 / (1 + np.exp(-f)), 0.0, np.empty_like(z)
        for step in range(len(z)):
            c = f[step] * np.tanh(z[step]) + (1 - f[step]) * c
            x[step] = c / (1 + np.exp(-o[step]))
    return (x @ state_dict["decoder.weight"].T + state_dict["decoder.bias"]).swapaxes(0, 1)


def test_qrnn():
    generator = np.random.default_rng(5)
    shapes = {"encoder.weight": (19, 6), "decoder.bias": (19,)}
    for layer, (features, units) in enumerate([(12, 10), (10, 10), (10, 6)]):
        shapes[f"rnns.{layer}.linear.module.weight_raw"] = (3 * units, features)
        shapes[f"rnns.{layer}.linear.module.bias"] = (3 * units,)
    state_dict = {
        name: generator.normal(size=shape).astype("float32") for name, shape in shapes.items()
    }
    state_dict["decoder.weight"] = state_dict["encoder.weight"]
    sizes = io.infer_sizes(state_dict)
    assert sizes == {**SIZES, "rnn": "qrnn"}
    model = make_model(rnn="qrnn")
    io.from_pytorch(model, state_dict)
    tokens = generator.integers(19, size=(2, 7))
    assert_close(model(tokens)[0], qrnn_logits(state_dict, tokens), 2e-5)
    exported = io.to_pytorch(model, "authors")
    assert set(exported) == set(state_dict)
    for name, array in exported.items():
        assert_equal(array, state_dict[name])
    fastai = {name.replace("linear", "layers.0.linear"): state_dict[name] for name in state_dict}
    other = make_model(rnn="qrnn")
    io.from_pytorch(other, fastai)
    assert_all_equal(other.get_weights(), model.get_weights())
    with pytest.raises(InputError, match="authors' format only"):
        io.to_pytorch(model, "fastai")


def test_a_model_without_lstms():
    with pytest.raises(InputError, match=r"and a full softmax\. Received: WeightDropGRU$"):
        io.to_pytorch(make_model(rnn="gru"), "authors")


def test_unknown_format():
    with pytest.raises(ValueError, match="`model_format` must be one of"):
        io.to_pytorch(make_model(), "torch")
