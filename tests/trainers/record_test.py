"""Tests of the file in which a folder of many runs keeps its settings."""

import pytest

from trainers.errors import UserError
from trainers.record import read_record


def test_what_was_written(tmp_path):
    (tmp_path / "record.json").write_text('{"bptt": 70, "tune": ["dtype"]}\n')
    assert read_record(tmp_path / "record.json") == {"bptt": 70, "tune": ["dtype"]}


def test_without_a_file_there_is_nothing(tmp_path):
    assert read_record(tmp_path / "record.json") == {}
    (tmp_path / "file").write_text("")
    assert read_record(tmp_path / "file" / "record.json") == {}


@pytest.mark.parametrize("content", [b"", b"{", b"7", b'["ab", 7]', b"\xff\xfe"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(UserError, match=r"record\.json cannot be read: "):
        read_record(tmp_path / "record.json")
