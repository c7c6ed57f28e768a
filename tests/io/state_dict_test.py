import json
import struct
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from awd_keras import io
from awd_keras.errors import InputError
from awd_keras.io.state_dict import to_array

MATRIX = np.arange(6, dtype="float32").reshape(2, 3)
ARRAYS = {"encoder.weight": MATRIX, "decoder.weight": MATRIX, "decoder.bias": np.array([1.5, -2.0])}


def assert_same(actual, expected):
    assert set(actual) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)
        assert actual[name].dtype == array.dtype


def safetensors_file(header, data=b""):
    header = json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


class TestSafetensors:
    def test_round_trip(self, tmp_path):
        path = tmp_path / "folder" / "weights.safetensors"
        arrays = {**ARRAYS, "transposed": MATRIX.T}
        io.write_state_dict(path, arrays)
        assert_same(io.read_state_dict(str(path)), arrays)

    @pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
    def test_half_precision(self, tmp_path, dtype):
        path = tmp_path / "weights.safetensors"
        safetensors.numpy.save_file({"a": np.array([1.5, -3.0], dtype)}, path)
        array = to_array("a", io.read_state_dict(path)["a"])
        assert (array.dtype, array.tolist()) == ("float32", [1.5, -3.0])

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"garbage",
            safetensors_file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}),
            # The header announces a terabyte.
            safetensors_file(
                {"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}, b"\0" * 8
            ),
        ],
    )
    def test_a_damaged_file(self, tmp_path, content):
        path = tmp_path / "weights.safetensors"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"weights\.safetensors cannot be read: ."):
            io.read_state_dict(path)


def test_unknown_suffix(tmp_path):
    for function in (io.read_state_dict, lambda path: io.write_state_dict(path, ARRAYS)):
        with pytest.raises(InputError, match=r"must be one of .*Received: .*weights\.npz"):
            function(tmp_path / "weights.npz")


def test_pytorch_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"weights\.pt needs PyTorch"):
        io.write_state_dict(tmp_path / "weights.pt", ARRAYS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.zeros(2, "int32"), np.array(["a"]), 3, None])
def test_to_array_expects_floats(value):
    with pytest.raises(InputError, match="x must be a floating-point array. Received: "):
        to_array("x", value)
