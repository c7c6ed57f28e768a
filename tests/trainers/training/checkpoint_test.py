"""Tests of what a checkpoint promises: whole or not at all, read or refused."""

import errno
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from trainers.errors import UserError
from trainers.training import checkpoint, read_checkpoint, write_checkpoint
from trainers.training.checkpoint import restore_variables

ARRAYS = {
    "weights/a b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "flag": np.array(True),
    "count": np.array(2**40, np.int64),
}
FACTS = {"step": 3, "loss": 0.1 + 0.2, "words": ["<eos>", "é"]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoints" / "checkpoint.npz"
    write_checkpoint(path, ARRAYS, FACTS)
    return path


def files_beside(path):
    return sorted(file.name for file in path.parent.iterdir())


def fails_with(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


class TestRoundTrip:
    def test_arrays_and_facts_come_back(self, path):
        arrays, facts = read_checkpoint(path)
        assert facts == {**FACTS, "format_version": checkpoint.FORMAT_VERSION}
        assert set(arrays) == set(ARRAYS)
        for name, array in ARRAYS.items():
            assert arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(arrays[name], array)

    def test_nothing_else_is_left(self, path):
        assert files_beside(path) == ["checkpoint.npz"]

    def test_the_file_is_on_the_disk_before_it_has_its_name(self, path, monkeypatch):
        order = []
        fsync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda *args: (order.append("fsync"), fsync(*args)))
        monkeypatch.setattr(os, "replace", lambda *args: (order.append("replace"), replace(*args)))
        write_checkpoint(path, ARRAYS, FACTS)
        assert order == ["fsync", "replace"]


class TestNoSpace:
    @pytest.mark.parametrize(
        ("module", "function"), [(np, "savez"), (os, "fsync"), (os, "replace")]
    )
    def test_the_file_before_survives(self, path, monkeypatch, module, function):
        before = path.read_bytes()
        monkeypatch.setattr(module, function, fails_with(errno.ENOSPC))
        with pytest.raises(OSError, match="No space left"):
            write_checkpoint(path, {"new": np.zeros(3)}, {})
        assert path.read_bytes() == before
        assert files_beside(path) == ["checkpoint.npz"]

    def test_half_a_file_is_never_read(self, path):
        # What a killed process leaves behind.
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(path.read_bytes()[:100])
        assert read_checkpoint(path)[1]["step"] == 3
        write_checkpoint(path, ARRAYS, {"step": 4})
        assert read_checkpoint(path)[1]["step"] == 4
        assert files_beside(path) == ["checkpoint.npz"]


class TestUnreadable:
    def test_missing(self, tmp_path):
        with pytest.raises(UserError, match="no checkpoint"):
            read_checkpoint(tmp_path / "checkpoint.npz")

    def test_a_folder(self, tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_checkpoint(tmp_path)

    def test_cut_short_anywhere(self, path):
        content = path.read_bytes()
        for length in range(0, len(content), 37):
            path.write_bytes(content[:length])
            with pytest.raises(UserError, match="corrupt"):
                read_checkpoint(path)

    def test_a_changed_byte_is_an_error_or_changes_nothing(self, path):
        content = bytearray(path.read_bytes())
        refused = 0
        for position in range(0, len(content), 5):
            damaged = bytearray(content)
            damaged[position] ^= 0x55
            path.write_bytes(damaged)
            try:
                arrays, facts = read_checkpoint(path)
            except UserError:
                refused += 1
                continue
            # A byte that means nothing, such as the time of an entry.
            assert facts["step"] == 3
            assert all(arrays[name].tobytes() == ARRAYS[name].tobytes() for name in ARRAYS)
        assert refused > len(content) / 5 / 4

    def test_other_files(self, path):
        other = path.with_name("array.npy")
        np.save(other, np.zeros(3))
        for content in (b"not a checkpoint", other.read_bytes(), b"PK\x03\x04"):
            path.write_bytes(content)
            with pytest.raises(UserError, match="corrupt"):
                read_checkpoint(path)

    def test_an_archive_without_facts(self, path):
        np.savez(path, a=np.zeros(2))
        with pytest.raises(UserError, match="corrupt"):
            read_checkpoint(path)

    @pytest.mark.parametrize("facts", [[1, 2], "text", None])
    def test_facts_of_another_kind(self, path, facts):
        text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        with open(path, "wb") as file:
            np.savez(file, **{"facts.json": text})
        with pytest.raises(UserError, match="corrupt"):
            read_checkpoint(path)

    def test_pickled_objects_are_refused(self, path):
        touched = path.with_name("touched")

        class Evil:
            def __reduce__(self):
                return (touched.write_text, ("unpickled",))

        np.savez(path, a=np.array([Evil()], dtype=object))
        with pytest.raises(UserError):
            read_checkpoint(path)
        assert not touched.exists()

    def test_another_format_version(self, path, monkeypatch):
        monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 99)
        write_checkpoint(path, ARRAYS, FACTS)
        monkeypatch.undo()
        with pytest.raises(UserError, match="format 99, expected 1"):
            read_checkpoint(path)


class TestRestoreVariables:
    def variables(self):
        return {"a": tf.Variable([0.0, 0.0]), "b": tf.Variable([[0.0]])}

    def test_values_are_assigned(self):
        variables = self.variables()
        arrays = {"w/a": np.array([1.0, 2.0], np.float32), "w/b": np.array([[3.0]], np.float32)}
        restore_variables(variables, arrays, "w/", "file")
        assert variables["a"].numpy().tolist() == [1.0, 2.0]
        assert variables["b"].numpy().tolist() == [[3.0]]

    @pytest.mark.parametrize(
        ("b", "message"),
        [
            ({}, "checkpoint file has no w/b"),
            ({"w/b": np.zeros(3, np.float32)}, r"w/b in file has shape \(3,\), expected \(1, 1\)"),
        ],
    )
    def test_the_misfit_is_named_and_nothing_assigned(self, b, message):
        variables = self.variables()
        with pytest.raises(UserError, match=message):
            restore_variables(variables, {"w/a": np.ones(2, np.float32), **b}, "w/", "file")
        assert variables["a"].numpy().tolist() == [0.0, 0.0]
