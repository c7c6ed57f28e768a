import pytest

from awd_keras.data import read_text_folder
from awd_keras.data.text_files import NAMING_SCHEMES, read_lines
from awd_keras.errors import InputError


def write(folder, names):
    for name in names:
        (folder / name).write_text(f"in {name}\n", encoding="utf-8")


@pytest.mark.parametrize("scheme", NAMING_SCHEMES)
def test_each_naming_scheme(tmp_path, scheme):
    write(tmp_path, (*scheme, "README", "ptb.char.train.txt"))
    assert read_text_folder(str(tmp_path)) == {
        split: [f"in {name}"] for split, name in zip(("train", "validation", "test"), scheme)
    }


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist.*ptb.train.txt"):
        read_text_folder(tmp_path / "nowhere")


def test_a_file_in_place_of_the_folder(tmp_path):
    write(tmp_path, ["train.txt"])
    with pytest.raises(InputError, match="is a file, not a folder"):
        read_text_folder(tmp_path / "train.txt")


def test_a_missing_file_lists_what_is_there(tmp_path):
    with pytest.raises(InputError, match="Found: nothing"):
        read_text_folder(tmp_path)
    write(tmp_path, ["train.txt", "ptb.valid.txt", "test.txt"])
    with pytest.raises(InputError, match="Found: ptb.valid.txt, test.txt, train.txt"):
        read_text_folder(tmp_path)


def test_a_crowded_folder_is_not_listed_whole(tmp_path):
    write(tmp_path, [f"{number:02}.txt" for number in range(40)])
    with pytest.raises(InputError, match=r"Found: 00.txt, .*, 11.txt and 28 more\.$"):
        read_text_folder(tmp_path)


def test_files_of_two_corpora(tmp_path):
    write(tmp_path, NAMING_SCHEMES[0] + NAMING_SCHEMES[2])
    with pytest.raises(InputError, match="files of 2 corpora"):
        read_text_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_file(tmp_path, content):
    write(tmp_path, NAMING_SCHEMES[0])
    (tmp_path / "valid.txt").write_bytes(content)
    with pytest.raises(InputError, match="valid.txt is empty"):
        read_text_folder(tmp_path)


def test_a_file_that_is_not_utf_8(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(b"a line\nna\xefve\n")
    with pytest.raises(InputError, match=r"byte 9 \(line 2\) is 0xef.*iconv"):
        read_lines(path)


def test_an_unreadable_file(tmp_path):
    write(tmp_path, NAMING_SCHEMES[0][:2])
    (tmp_path / "test.txt").mkdir()
    with pytest.raises(InputError, match="test.txt cannot be read"):
        read_text_folder(tmp_path)


@pytest.mark.parametrize(
    "content, lines",
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"\na\n\n\n", ["", "a", "", ""]),
        (b"a\r\nb\rc\r\n", ["a", "b", "c"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        # Characters at which `str.splitlines` would split.
        ("a\u2028b\x0cc\x85d\n".encode(), ["a\u2028b\x0cc\x85d"]),
    ],
)
def test_lines(tmp_path, content, lines):
    path = tmp_path / "text"
    path.write_bytes(content)
    assert read_lines(path) == lines
