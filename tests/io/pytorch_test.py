"""Weights against logits that PyTorch and fastai gave, and every way in which they do not fit.

`tests/io/reference/README.md` says how the files were made.
"""

import pathlib

import numpy as np
import pytest

from awd_keras import io
from awd_keras.models import AWDLSTM, AWDLSTMLanguageModel
from tests.test_case import assert_close, assert_equal, floatx, to_numpy

REFERENCE = pathlib.Path(__file__).parent / "reference"
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
SIZES = {
    "vocabulary_size": 19,
    "embedding_dim": 6,
    "hidden_dim": 10,
    "num_layers": 3,
    "tie_weights": True,
}
# File and whose names it has.
FILES = {"authors": "authors", "authors_untied": "authors", "fastai": "fastai"}


def sizes_of(name):
    return {**SIZES, "tie_weights": name != "authors_untied"}


def read(name):
    return io.read_state_dict(REFERENCE / f"{name}.safetensors")


@pytest.fixture(scope="module")
def logits():
    with np.load(REFERENCE / "logits.npz") as file:
        return dict(file)


def make_model(**changes):
    return AWDLSTMLanguageModel(**{**SIZES, **changes}, weight_dropout=0.5, seed=3)


def run(model, tokens):
    """Logits of two windows, the states carried."""
    first, states = model(tokens[:, :5])
    second, _ = model(tokens[:, 5:], states=states)
    return np.concatenate([to_numpy(first), to_numpy(second)], axis=1)


def weights_of(model):
    return [variable.numpy() for variable in model.weights]


def message_of(state_dict, model=None, source="auto"):
    """The error of weights that do not fit, and a check that nothing was assigned."""
    model = model or make_model()
    before = weights_of(model)
    with pytest.raises(io.InputError) as error:
        io.from_pytorch(model, state_dict, source)
    for old, new in zip(before, weights_of(model)):
        assert_equal(new, old)
    return str(error.value)


class TestReference:
    @pytest.mark.parametrize("dtype", list(TOLERANCE))
    @pytest.mark.parametrize("name", list(FILES))
    def test_logits_are_those_of_pytorch(self, logits, name, dtype):
        with floatx(dtype):
            model = make_model(tie_weights=name != "authors_untied")
            io.from_pytorch(model, read(name))
            assert_close(run(model, logits["tokens"]), logits[f"{name}/logits"], TOLERANCE[dtype])

    @pytest.mark.parametrize("name", list(FILES))
    def test_sizes(self, name):
        assert io.infer_sizes(read(name)) == sizes_of(name)
        assert io.infer_sizes(read(name), FILES[name]) == sizes_of(name)

    @pytest.mark.parametrize("name", list(FILES))
    def test_the_way_out_has_pytorchs_names_shapes_and_numbers(self, name):
        expected = read(name)
        with floatx("float64"):
            model = make_model(tie_weights=name != "authors_untied")
            io.from_pytorch(model, expected)
            actual = io.to_pytorch(model, FILES[name])
        assert set(actual) == set(expected)
        for key, array in actual.items():
            assert array.flags.c_contiguous and array.dtype == "float64"
            if "bias_hh" in key:
                assert not np.any(array)
            elif "bias_ih" in key:
                assert_equal(array, expected[key] + expected[key.replace("bias_ih", "bias_hh")])
            else:
                assert_equal(array, expected[key])

    def test_half_precision_is_read(self, logits):
        model, halves = make_model(), make_model()
        state_dict = read("fastai")
        halved = {name: array.astype("float16") for name, array in state_dict.items()}
        io.from_pytorch(model, {name: array.astype("float32") for name, array in halved.items()})
        io.from_pytorch(halves, halved)
        assert_equal(run(halves, logits["tokens"]), run(model, logits["tokens"]))
        assert_close(run(halves, logits["tokens"]), logits["fastai/logits"], 1e-2)


class TestRoundTrip:
    @pytest.mark.parametrize("model_format", io.FORMATS)
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"num_layers": 1},
            {"num_layers": 1, "tie_weights": False, "hidden_dim": 6},
            {"tie_weights": False, "hidden_dim": 6},
            {"vocabulary_size": 6, "hidden_dim": 6},
        ],
    )
    def test_every_weight_comes_back_bit_for_bit(self, model_format, changes):
        model, other = make_model(**changes), AWDLSTMLanguageModel(**{**SIZES, **changes}, seed=4)
        for index, variable in enumerate(model.weights):
            rng = np.random.default_rng(index)
            variable.assign(rng.normal(size=variable.shape).astype("float32"))
        state_dict = io.to_pytorch(model, model_format)
        one_layer = changes.get("num_layers") == 1 and changes.get("tie_weights", True)
        expected = {**SIZES, **changes, **({"hidden_dim": 6} if one_layer else {})}
        assert io.infer_sizes(state_dict) == expected
        io.from_pytorch(other, state_dict)
        for old, new in zip(weights_of(model), weights_of(other)):
            assert_equal(new, old)

    def test_the_model_is_not_changed_by_what_happens_to_the_arrays(self):
        model = make_model()
        before = weights_of(model)
        for array in io.to_pytorch(model, "authors").values():
            array[:] = 7.0
        for old, new in zip(before, weights_of(model)):
            assert_equal(new, old)

    def test_a_tied_matrix_is_one_array(self):
        state_dict = io.to_pytorch(make_model(), "fastai")
        assert state_dict["1.decoder.weight"] is state_dict["0.encoder.weight"]
        assert state_dict["0.encoder_dp.emb.weight"] is state_dict["0.encoder.weight"]

    def test_bfloat16_weights_go_out_as_float32(self):
        model = AWDLSTMLanguageModel(**SIZES, dtype="bfloat16")
        assert {array.dtype.name for array in io.to_pytorch(model, "authors").values()} == {
            "float32"
        }

    def test_fastai_has_no_untied_model_of_two_sizes(self):
        with pytest.raises(io.InputError, match=r"expected 6\. Received a model with 10"):
            io.to_pytorch(make_model(tie_weights=False), "fastai")


class TestNames:
    @pytest.mark.parametrize("prefix", ["module.", "0.", "module.0.", "_orig_mod."])
    def test_wrapped_authors_model(self, logits, prefix):
        state_dict = {prefix + name: array for name, array in read("authors").items()}
        model = make_model()
        io.from_pytorch(model, state_dict)
        assert_close(run(model, logits["tokens"]), logits["authors/logits"], 2e-5)

    @pytest.mark.parametrize(
        "change",
        [
            lambda name: name.replace(".module.", "."),
            lambda name: name.replace("_raw", ""),
            lambda name: name.replace(".module.", ".").replace("_raw", ""),
        ],
    )
    def test_without_weight_drop(self, logits, change):
        state_dict = {change(name): array for name, array in read("authors").items()}
        model = make_model()
        io.from_pytorch(model, state_dict)
        assert_close(run(model, logits["tokens"]), logits["authors/logits"], 2e-5)

    @pytest.mark.parametrize("name", ["authors", "fastai"])
    def test_the_dropped_copy_is_not_taken(self, logits, name):
        state_dict = {}
        for key, array in read(name).items():
            if key.endswith("_raw"):
                state_dict[key.removesuffix("_raw")] = np.zeros_like(array)
            state_dict[key] = array
        model = make_model()
        io.from_pytorch(model, state_dict)
        assert_close(run(model, logits["tokens"]), logits[f"{name}/logits"], 2e-5)

    def test_a_tied_decoder_may_be_missing(self, logits):
        state_dict = read("authors")
        del state_dict["decoder.weight"]
        model = make_model()
        io.from_pytorch(model, state_dict)
        assert io.infer_sizes(state_dict) == SIZES
        assert_close(run(model, logits["tokens"]), logits["authors/logits"], 2e-5)

    @pytest.mark.parametrize(("name", "other"), [("authors", "fastai"), ("fastai", "authors")])
    def test_names_of_the_other_model_are_refused(self, name, other):
        message = message_of(read(name), source=other)
        decoder = {"authors": "decoder.weight", "fastai": "1.decoder.weight"}[name]
        assert "is missing" in message and decoder in message


class TestRefusals:
    @pytest.mark.parametrize("name", ["authors", "fastai"])
    def test_each_missing_weight_is_named(self, name):
        state_dict = read(name)
        twice = ("0.encoder.weight", "0.encoder_dp.emb.weight", "decoder.weight")
        for key in state_dict:
            if key.endswith(twice):
                continue
            rest = {other: array for other, array in state_dict.items() if other != key}
            shape = state_dict[key].shape
            assert f"{key} is missing, expected with shape {shape}" in message_of(rest)
            with pytest.raises(io.InputError, match="is missing"):
                io.infer_sizes(rest)

    def test_a_missing_weight_that_says_the_sizes(self):
        state_dict = read("authors")
        forms = {
            "encoder.weight": "(words, embedding_dim)",
            "rnns.0.module.weight_hh_l0_raw": "(4 * hidden_dim, hidden_dim)",
        }
        for key, form in forms.items():
            rest = {other: array for other, array in state_dict.items() if other != key}
            with pytest.raises(io.InputError) as error:
                io.infer_sizes(rest)
            assert f"{key} is missing, expected with shape {form}" in str(error.value)

    @pytest.mark.parametrize("name", ["authors", "fastai"])
    def test_each_wrong_shape_is_named(self, name):
        state_dict = read(name)
        for key, array in state_dict.items():
            cut = {**state_dict, key: array[:-1]}
            expected = f"{key} has shape {array[:-1].shape}, expected {array.shape}"
            assert expected in message_of(cut)
            with pytest.raises(io.InputError, match="expected"):
                io.infer_sizes(cut)

    def test_all_problems_are_told_at_once(self):
        state_dict = read("authors")
        del state_dict["decoder.bias"]
        state_dict["rnns.1.module.bias_ih_l0"] = np.zeros((3,))
        state_dict["optimizer.step"] = np.zeros((1,))
        assert message_of(state_dict) == (
            "The weights do not fit: rnns.1.module.bias_ih_l0 has shape (3,), expected (40,); "
            "decoder.bias is missing, expected with shape (19,); no weight of the model is called "
            "optimizer.step. Nothing was assigned."
        )

    def test_many_names_are_cut_short(self):
        state_dict = {**read("authors"), **{f"x{i:02d}": np.zeros(1) for i in range(20)}}
        message = message_of(state_dict)
        assert "x00, x01, x02, x03, x04, x05, x06, x07, and 12 more" in message

    def test_a_layer_too_many_or_too_few(self):
        message = message_of(read("authors"), make_model(num_layers=4))
        assert "rnns.3.module.weight_ih_l0 is missing" in message
        message = message_of(read("authors"), make_model(num_layers=2))
        assert "no weight of the model is called rnns.2.module.bias_hh_l0" in message

    @pytest.mark.parametrize("layer", [3, 10**5, "9" * 5000])
    def test_a_number_in_a_name_makes_no_layers(self, layer):
        state_dict = {**read("authors"), f"rnns.{layer}.bias_ih_l0": np.zeros(40)}
        with pytest.raises(io.InputError):
            io.infer_sizes(state_dict)

    def test_untied_weights_for_a_tied_model(self):
        state_dict = read("authors")
        state_dict["decoder.weight"] = state_dict["decoder.weight"] + 1.0
        assert "decoder.weight differs from encoder.weight" in message_of(state_dict)

    def test_untied_and_as_small_as_fastai_has_it(self):
        state_dict = read("fastai")
        state_dict["1.decoder.weight"] = state_dict["1.decoder.weight"] + 1.0
        with pytest.raises(io.InputError, match="LSTM has 10 units.*but here it has 6"):
            io.infer_sizes(state_dict)

    def test_two_embeddings_under_two_names(self):
        state_dict = read("fastai")
        state_dict["0.encoder_dp.emb.weight"] = state_dict["0.encoder_dp.emb.weight"] + 1.0
        assert "0.encoder.weight and 0.encoder_dp.emb.weight differ" in message_of(state_dict)

    def test_an_encoder_alone(self):
        state_dict = {
            name.removeprefix("0."): array
            for name, array in read("fastai").items()
            if name.startswith("0.")
        }
        assert "there is an encoder alone" in message_of(state_dict)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_numbers_that_are_not_finite(self, value):
        state_dict = read("authors")
        state_dict["rnns.1.module.weight_hh_l0_raw"][3, 4] = value
        message = message_of(state_dict)
        assert "rnns.1.module.weight_hh_l0_raw holds numbers that are not finite" in message

    @pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", "object"])
    def test_other_types(self, dtype):
        state_dict = read("authors")
        state_dict["decoder.bias"] = np.zeros((19,), dtype)
        expected = f"decoder.bias must be an array of floats. Received: {dtype}"
        assert expected in message_of(state_dict)

    @pytest.mark.parametrize("shape", [(), (19,), (0, 6), (10**15, 0)])
    def test_sizes_of_an_embedding_that_is_none(self, shape):
        for key in ("encoder.weight", "rnns.0.module.weight_hh_l0_raw"):
            with pytest.raises(io.InputError, match="expected a matrix"):
                io.infer_sizes({**read("authors"), key: np.zeros(shape)})

    def test_nothing(self):
        with pytest.raises(io.InputError, match="encoder.weight is missing"):
            io.infer_sizes({})
        assert "encoder.weight is missing" in message_of({})

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="`source` must be one of auto, authors, fastai"):
            io.infer_sizes(read("authors"), "torch")
        with pytest.raises(ValueError, match="`source` must be one of"):
            io.from_pytorch(make_model(), read("authors"), "torch")
        with pytest.raises(ValueError, match="`model_format` must be one of authors, fastai"):
            io.to_pytorch(make_model(), "auto")
        with pytest.raises(ValueError, match="must be an AWDLSTMLanguageModel"):
            io.to_pytorch(AWDLSTM(19, embedding_dim=6, hidden_dim=10), "authors")
