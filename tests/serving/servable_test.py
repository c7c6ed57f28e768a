"""Tests of a loaded model: what it answers, and how it refuses."""

import shutil

import numpy as np
import pytest
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.servable import ModelFolderError, Servable, find_version, read_tensors
from serving.status import StatusError
from tests.serving import tiny_model

STATE = np.zeros((1, tiny_model.STATE_SIZE), np.float32)


def strings(*values):
    array = np.empty(len(values), object)
    array[:] = [value.encode() for value in values]
    return array


def ints(*values):
    return np.array(values, np.int32)


@pytest.fixture(scope="module")
def servable(model_folder):
    servable = Servable(model_folder / "1", "tiny", 1)
    yield servable
    servable.close()


class TestFindVersion:
    @pytest.fixture
    def folder(self, tmp_path):
        for version in ("2", "10", "x", "03.partial"):
            (tmp_path / "lm" / version).mkdir(parents=True)
            (tmp_path / "lm" / version / "saved_model.pb").touch()
        (tmp_path / "lm" / "11").mkdir()  # nothing in it
        return tmp_path

    def test_the_highest_number(self, folder):
        assert find_version(folder / "lm") == ("lm", 10, folder / "lm" / "10")

    def test_a_given_one(self, folder):
        assert find_version(str(folder / "lm"), 2) == ("lm", 2, folder / "lm" / "2")

    def test_the_folder_above_and_the_version_itself(self, folder):
        assert find_version(folder)[1] == 10
        assert find_version(folder / "lm" / "2") == ("lm", 2, folder / "lm" / "2")

    def test_what_is_no_model(self, folder):
        for path, said in [
            ("nowhere", "There is no folder .*nowhere"),
            ("lm/x", "is no model: expected <version>/saved_model.pb"),
            ("lm/11", "is no model"),
        ]:
            with pytest.raises(ModelFolderError, match=said):
                find_version(folder / path)
        with pytest.raises(ModelFolderError, match="has no version 3. It has: 2, 10"):
            find_version(folder / "lm", 3)
        shutil.copytree(folder / "lm", folder / "other")
        with pytest.raises(ModelFolderError, match="several models, choose one: lm, other"):
            find_version(folder)


class TestServable:
    def test_the_default_signature(self, servable):
        texts = ["w1 w2 w3", "", "a dog  café\n"]
        outputs = servable.predict("", {"text": strings(*texts)})
        expected = [tiny_model.score(text) for text in texts]
        np.testing.assert_allclose(outputs["log_probability"], [e[0] for e in expected], rtol=1e-5)
        assert outputs["num_tokens"].tolist() == [e[1] for e in expected]
        assert outputs["num_unknown"].tolist() == [e[2] for e in expected]

    def test_only_the_outputs_wished(self, servable):
        inputs = {"token_ids": ints(1), "state": STATE}
        outputs = servable.predict("step", inputs, ["next_state"])
        assert set(outputs) == {"next_state"}

    def test_no_rows(self, servable):
        assert servable.predict("score", {"text": strings()})["num_tokens"].shape == (0,)

    @pytest.mark.parametrize(
        "signature,inputs,output_filter,code,said",
        [
            ("nothing", {}, [], "FAILED_PRECONDITION", 'signature key "nothing" not found'),
            ("score", {}, [], "INVALID_ARGUMENT", "Missing but required: {text}"),
            ("score", {"text": strings("a"), "x": ints(1)}, [], "INVALID_ARGUMENT", "extra: {x}"),
            ("score", {"text": ints(1)}, [], "INVALID_ARGUMENT", "string but int32 is provided"),
            ("score", {"text": strings("a").reshape(1, 1)}, [], "INVALID_ARGUMENT", "shape"),
            ("score", {"text": np.array(b"a", object)}, [], "INVALID_ARGUMENT", "shape"),
            ("score", {"text": strings("a")}, ["x"], "INVALID_ARGUMENT", "not found.*: x"),
            ("score", {"text": strings("a")}, ["perplexity"] * 2, "INVALID_ARGUMENT", "duplicate"),
            (
                "step",
                {"token_ids": ints(999), "state": STATE},
                [],
                "INVALID_ARGUMENT",
                "`token_ids` must be at least 0",
            ),
        ],
    )
    def test_refusals(self, servable, signature, inputs, output_filter, code, said):
        with pytest.raises(StatusError, match=said) as error:
            servable.predict(signature, inputs, output_filter)
        assert error.value.code == code
        assert "Graph execution error" not in error.value.message

    def test_a_time_limit_ends_the_work(self, servable):
        inputs = {"token_ids": np.ones((256, 1024), np.int32), "lengths": ints(*[1024] * 256)}
        with pytest.raises(StatusError) as error:
            servable.predict("score_tokens", inputs, timeout=0.01)
        assert error.value.code == "DEADLINE_EXCEEDED"
        assert servable.predict("", {"text": strings("a")})["num_tokens"].tolist() == [2]

    def test_a_closed_one_is_unavailable(self, model_folder):
        servable = Servable(model_folder / "1", "tiny", 1)
        servable.close()
        with pytest.raises(StatusError) as error:
            servable.predict("", {"text": strings("a")})
        assert error.value.code == "UNAVAILABLE"

    def test_a_damaged_model(self, model_folder, tmp_path):
        path = tmp_path / "tiny" / "1"
        shutil.copytree(model_folder / "1", path)
        (path / "saved_model.pb").write_bytes(b"no protocol message")
        with pytest.raises(ModelFolderError, match="cannot be loaded"):
            Servable(path, "tiny", 1)


class TestReadTensors:
    def tensor(self, dtype=types_pb2.DT_INT32, shape=(1,), **values):
        tensor = tensor_pb2.TensorProto(dtype=dtype, **values)
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        return tensor

    def test_a_value_for_a_whole_tensor(self):
        tensor = self.tensor(shape=(2, 3), int_val=[7])
        np.testing.assert_array_equal(read_tensors({"x": tensor}, 24)["x"], np.full((2, 3), 7))

    @pytest.mark.parametrize(
        "tensor",
        [
            {"shape": (2, 4), "int_val": [7]},  # 32 bytes
            {"shape": (2**40, 2**40), "int_val": [7]},
            {"shape": (10**9,), "dtype": types_pb2.DT_STRING, "string_val": [b"a"]},
            {"shape": (-1,), "int_val": [7]},
            {"shape": (1,), "tensor_content": b"abc"},
            {"shape": (3,), "int_val": [1, 2, 3, 4]},
            {"dtype": types_pb2.DT_INVALID, "int_val": [1]},
            {"dtype": 9999, "int_val": [1]},
            {"dtype": types_pb2.DT_RESOURCE, "int_val": [1]},
        ],
    )
    def test_malformed_or_too_large(self, tensor):
        with pytest.raises(StatusError, match="tensor parsing error: x") as error:
            read_tensors({"x": self.tensor(**tensor)}, 24)
        assert error.value.code == "INVALID_ARGUMENT"
