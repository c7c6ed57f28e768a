"""Tests of files that are there whole or not at all."""

import os
import threading

import pytest

from awd_keras.atomic_write import atomic_write


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    return path


def write(path, text="after"):
    with atomic_write(path, encoding="utf-8") as file:
        file.write(text)


def test_it_replaces_what_was_there_and_leaves_nothing_beside(path):
    write(path)
    assert path.read_text() == "after"
    assert os.listdir(path.parent) == [path.name]


def test_bytes(path):
    with atomic_write(path, "wb") as file:
        file.write(b"\x00")
    assert path.read_bytes() == b"\x00"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_exception_the_one_before_remains(path, error):
    with pytest.raises(error), atomic_write(path) as file:
        file.write("half")
        raise error
    assert path.read_text() == "before"
    assert os.listdir(path.parent) == [path.name]


def test_a_disk_that_is_full_at_the_end(path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        write(path)
    assert path.read_text() == "before" and os.listdir(path.parent) == [path.name]


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "elsewhere" / "link.txt"
    link.parent.mkdir()
    link.symlink_to(path)
    write(link)
    assert link.is_symlink() and path.read_text() == "after"


def test_a_link_to_nothing(tmp_path):
    link = tmp_path / "link.txt"
    link.symlink_to("target.txt")
    write(link)
    assert link.is_symlink() and (tmp_path / "target.txt").read_text() == "after"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_stays_a_pipe(tmp_path):
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    write(path)
    reader.join(timeout=10)
    assert read == ["after"] and path.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no /dev/fd here")
def test_a_pipe_without_a_name():
    readable, writable = os.pipe()
    write(f"/dev/fd/{writable}")
    os.close(writable)
    with open(readable) as file:
        assert file.read() == "after"


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no /dev/fd here")
def test_a_file_that_is_open_already_keeps_what_it_has(path):
    with open(path, "a") as file:
        write(f"/dev/fd/{file.fileno()}")
    assert path.read_text() == "beforeafter"


def test_a_link_to_itself_is_replaced(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    write(loop)
    assert loop.read_text() == "after" and os.listdir(tmp_path) == ["loop"]


def test_a_folder(tmp_path):
    with pytest.raises(IsADirectoryError):
        write(tmp_path)
