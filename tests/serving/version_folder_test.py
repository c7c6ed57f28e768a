import os

import pytest

from serving.version_folder import existing_versions, new_version
from trainers.errors import UserError


def write(output, version=None, name="m"):
    with new_version(output, name, version) as (path, place):
        (path / "file").write_text("content")
        (path / "folder").mkdir()
        (path / "folder" / "file").write_text("more")
    return place


class TestNewVersion:
    def test_the_next_one(self, tmp_path):
        output = tmp_path / "deep" / "models"
        assert write(output) == output / "m" / "1"
        assert write(output, 7) == output / "m" / "7"
        assert write(output) == output / "m" / "8"
        assert write(output, 3) == output / "m" / "3"
        # What is no version, and versions of another model.
        for other in ("latest", ".99.1.partial", "-4", "9.5", "\u0663"):
            (output / "m" / other).mkdir()
        write(output, 50, name="other")
        assert write(output) == output / "m" / "9"
        assert existing_versions(output / "m") == [1, 3, 7, 8, 9]
        assert (output / "m" / "9" / "folder" / "file").read_text() == "more"

    def test_it_is_seen_when_it_is_complete(self, tmp_path):
        with new_version(tmp_path, "m") as (path, place):
            assert path.parent == place.parent and path.is_dir() and not os.listdir(path)
            assert not place.exists() and existing_versions(tmp_path / "m") == []
        assert place.is_dir() and not path.exists()

    def test_an_existing_one_is_refused(self, tmp_path):
        place = write(tmp_path, 4)
        for version in (4, "04"):
            with pytest.raises(UserError):
                write(tmp_path, version)
        with pytest.raises(UserError, match="exists already.*would|exists already.*version 5"):
            write(tmp_path, 4)
        assert os.listdir(tmp_path / "m") == ["4"] and (place / "file").exists()

    def test_a_folder_with_zeros_in_front_is_named(self, tmp_path):
        (tmp_path / "m" / "007").mkdir(parents=True)
        with pytest.raises(UserError, match="m/007 exists already, which .* as version 7, and"):
            write(tmp_path, 7)
        assert write(tmp_path).name == "8"

    def test_an_empty_folder_of_that_name_is_refused_too(self, tmp_path):
        (tmp_path / "m" / "2").mkdir(parents=True)
        with pytest.raises(UserError, match="exists already"):
            write(tmp_path, 2)

    def test_somebody_else_was_faster(self, tmp_path):
        with pytest.raises(UserError, match="by somebody else"):
            with new_version(tmp_path, "m", 1) as (path, place):
                (path / "file").write_text("ours")
                place.mkdir()
                (place / "file").write_text("theirs")
        assert (tmp_path / "m" / "1" / "file").read_text() == "theirs"
        assert os.listdir(tmp_path / "m") == ["1"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_failure_leaves_nothing(self, tmp_path, error):
        with pytest.raises(error):
            with new_version(tmp_path / "a" / "b", "m") as (path, _):
                (path / "file").write_text("half")
                raise error
        assert not os.listdir(tmp_path)

    def test_a_failure_leaves_other_versions(self, tmp_path):
        write(tmp_path)
        with pytest.raises(ValueError):
            with new_version(tmp_path, "m"):
                raise ValueError
        assert os.listdir(tmp_path / "m") == ["1"]

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", ".a", "a b", "caf\xe9", None])
    def test_a_name_that_no_server_takes(self, tmp_path, name):
        with pytest.raises(UserError, match="The name of a model must have"):
            write(tmp_path, name=name)
        assert not os.listdir(tmp_path)

    @pytest.mark.parametrize("version", [0, -1, 2**63, 1.0, True, "1"])
    def test_a_version_that_no_server_takes(self, tmp_path, version):
        with pytest.raises(UserError, match="A version must be an integer from 1 to 9223"):
            write(tmp_path, version)
        assert not os.listdir(tmp_path)
