import json
import os
import pickle
import re
import stat
import struct
import sys
import types

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from awd_keras import io
from awd_keras.io.state_dict import to_array
from trainers.errors import UserError

ARRAYS = {
    "encoder.weight": np.arange(6, dtype="float32").reshape(2, 3),
    "decoder.bias": np.array([1.5, -2.0]),
}


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
        io.write_state_dict(path, ARRAYS)
        assert_same(io.read_state_dict(path), ARRAYS)
        assert_same(io.read_state_dict(str(path)), ARRAYS)
        assert_same(safetensors.numpy.load_file(path), ARRAYS)
        assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors"]

    def test_transposed_arrays_keep_their_order(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        io.write_state_dict(path, {"a": ARRAYS["encoder.weight"].T})
        assert_same(io.read_state_dict(path), {"a": np.array([[0, 3], [1, 4], [2, 5]], "float32")})

    def test_permissions_are_those_of_any_new_file(self, tmp_path):
        path, other = tmp_path / "weights.safetensors", tmp_path / "other"
        io.write_state_dict(path, ARRAYS)
        other.write_text("")
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)

    @pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
    def test_half_precision(self, tmp_path, dtype):
        path = tmp_path / "weights.safetensors"
        safetensors.numpy.save_file({"a": np.array([1.5, -3.0], dtype)}, path)
        array = to_array("a", io.read_state_dict(path)["a"])
        assert array.dtype == "float32"
        assert array.tolist() == [1.5, -3.0]

    def test_a_failed_write_leaves_the_file_before(self, tmp_path, monkeypatch):
        path = tmp_path / "weights.safetensors"
        io.write_state_dict(path, ARRAYS)

        def no_space(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="No space left"):
            io.write_state_dict(path, {"a": np.zeros(1)})
        assert_same(io.read_state_dict(path), ARRAYS)
        assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"garbage",
            b"\xff" * 64,
            b"PK\x03\x04" + b"\0" * 60,
            safetensors_file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}),
            # A terabyte is announced; 8 bytes are there.
            safetensors_file(
                {"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}, b"\0" * 8
            ),
            safetensors_file(
                {"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 8]}}, b"\0" * 8
            ),
            safetensors_file(
                {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}, b"\0" * 8
            ),
            safetensors_file(
                {"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, b"\0" * 8
            )[:-1],
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, content):
        path = tmp_path / "weights.safetensors"
        path.write_bytes(content)
        with pytest.raises(io.InputError, match=r"weights\.safetensors cannot be read: ."):
            io.read_state_dict(path)

    def test_every_truncation_is_noticed(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        io.write_state_dict(path, ARRAYS)
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(io.InputError):
                io.read_state_dict(path)


class TestPaths:
    @pytest.mark.parametrize("name", ["weights", "weights.npz", "weights.bin", "weights.pt.zip"])
    def test_unknown_endings(self, tmp_path, name):
        expected = r"must end in \.safetensors, \.pt, \.pth\. Received: .*" + name
        with pytest.raises(io.InputError, match=expected):
            io.write_state_dict(tmp_path / name, ARRAYS)
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(io.InputError, match=expected):
            io.read_state_dict(tmp_path / name)

    @pytest.mark.parametrize("ending", [".safetensors", ".pt"])
    def test_no_file(self, tmp_path, ending):
        for path in (tmp_path / f"missing{ending}", tmp_path / f"folder{ending}"):
            if "folder" in path.name:
                path.mkdir()
            with pytest.raises(io.InputError, match="which is no file"):
                io.read_state_dict(path)

    def test_the_commands_know_the_error(self):
        assert issubclass(io.InputError, UserError)


class TestWithoutTorch:
    """What is said where PyTorch is missing or old; it is put in the place of the real one."""

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "weights.pt"
        path.write_bytes(b"")
        return path

    def fake_torch(self, monkeypatch, version="2.13.0+cpu", error=None):
        def load(path, map_location, weights_only):
            assert map_location == "cpu" and weights_only is True
            raise error

        torch = types.ModuleType("torch")
        torch.__version__, torch.load = version, load
        monkeypatch.setitem(sys.modules, "torch", torch)

    def test_missing(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)
        expected = r'\.pt files need PyTorch: pip install "\.\[torch\]"'
        with pytest.raises(io.InputError, match=expected):
            io.read_state_dict(path)
        with pytest.raises(io.InputError, match=expected):
            io.write_state_dict(path.with_name("new.pt"), ARRAYS)
        assert not path.with_name("new.pt").exists()

    @pytest.mark.parametrize("version", ["2.5.1+cu121", "1.13.1"])
    def test_old(self, path, monkeypatch, version):
        self.fake_torch(monkeypatch, version)
        with pytest.raises(io.InputError, match="PyTorch 2.6 or newer.*" + re.escape(version)):
            io.read_state_dict(path)

    def test_a_pickle(self, path, monkeypatch):
        error = pickle.UnpicklingError("Unsupported global: GLOBAL model.RNNModel was not allowed")
        self.fake_torch(monkeypatch, error=error)
        with pytest.raises(io.InputError) as caught:
            io.read_state_dict(path)
        message, *lines = str(caught.value).splitlines()
        assert "holds more than tensors (model.RNNModel)" in message
        assert len(lines) == 2
        assert lines[0].startswith("  import torch; saved = torch.load(")
        assert "state_dict(), " in lines[1] and "weights_state_dict.pt" in lines[1]

    def test_a_pickle_of_fastai(self, path, monkeypatch):
        error = pickle.UnpicklingError("Unsupported global: GLOBAL fastcore.foundation.L")
        self.fake_torch(monkeypatch, error=error)
        with pytest.raises(io.InputError, match=r'torch\.save\(saved\["model"\]'):
            io.read_state_dict(path)

    def test_damaged(self, path, monkeypatch):
        self.fake_torch(monkeypatch, error=RuntimeError("PytorchStreamReader failed\nmore"))
        with pytest.raises(io.InputError, match=r"cannot be read: Pytorch.* failed\. Copy"):
            io.read_state_dict(path)


@pytest.mark.parametrize("value", [np.zeros(2, "int32"), np.array(["a"]), 3, None])
def test_what_is_no_array_of_floats(value):
    with pytest.raises(io.InputError, match="x must be an array of floats. Received: "):
        to_array("x", value)
