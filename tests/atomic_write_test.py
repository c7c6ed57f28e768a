"""Tests of files and folders that appear complete or not at all."""

import os
import threading

import pytest

from awd_keras.atomic_write import atomic_folder, atomic_write


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    return path


def test_it_replaces_the_file_and_leaves_nothing_else(path):
    with atomic_write(path, "wb") as file:
        file.write(b"after")
    assert path.read_text() == "after"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_file_survives_an_exception(path, error):
    with pytest.raises(error), atomic_write(path) as file:
        file.write("half")
        raise error
    assert path.read_text() == "before"
    assert os.listdir(path.parent) == [path.name]


def test_concurrent_writers_do_not_corrupt_each_other(path):
    texts = [letter * 10_000 for letter in "abcd"]
    barrier = threading.Barrier(len(texts))

    def write(text):
        with atomic_write(path) as file:
            barrier.wait()  # all of them have their file open
            file.write(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert os.listdir(path.parent) == [path.name]


def test_permissions_follow_the_umask(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_write(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_is_followed(path, tmp_path):
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    with atomic_write(link) as file:
        file.write("after")
    assert link.is_symlink() and path.read_text() == "after"


@pytest.mark.parametrize("parent", ["missing", "file.txt"])
def test_an_error_names_the_file(path, parent):
    path = path.parent / parent / "file.txt"
    with pytest.raises(OSError) as caught, atomic_write(path):
        pass
    assert caught.value.filename == str(path)


def test_only_regular_files_are_replaced(tmp_path):
    with pytest.raises(OSError, match="Not a regular file"), atomic_write(tmp_path):
        pass


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_appears_when_it_is_complete(tmp_path, exists):
    folder = tmp_path / "models" / "one"
    if exists:
        folder.mkdir(parents=True)
    with atomic_folder(folder) as temporary:
        (temporary / "file").touch()
        assert not (folder / "file").exists()
    assert os.listdir(folder) == ["file"]
    assert os.listdir(folder.parent) == ["one"]


def test_a_folder_in_use_is_refused(path):
    with pytest.raises(OSError, match="not empty"), atomic_folder(path.parent):
        pass
    assert os.listdir(path.parent) == [path.name]


def test_an_exception_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError), atomic_folder(tmp_path / "model") as temporary:
        (temporary / "half").touch()
        raise ValueError
    assert not os.listdir(tmp_path)
