import io
import warnings

import pytest

from awd_keras.data import Tokenizer, read_text_folder
from awd_keras.data.text_files import FILE_NAMES, decoded_lines, read_lines, warn_of_marks
from awd_keras.errors import InputError


def write(folder, names):
    for name in names:
        (folder / name).write_text(f"in {name}\n", encoding="utf-8")


@pytest.mark.parametrize("names", FILE_NAMES)
def test_a_folder_of_one_corpus(tmp_path, names):
    write(tmp_path, (*names, "README", "ptb.char.train.txt"))
    assert read_text_folder(str(tmp_path)) == {
        split: [f"in {name}"] for split, name in zip(("train", "validation", "test"), names)
    }


def test_a_folder_without_a_complete_corpus(tmp_path):
    with pytest.raises(InputError, match="Received: an empty folder"):
        read_text_folder(tmp_path)
    write(tmp_path, ["train.txt", "ptb.valid.txt", "test.txt"])
    with pytest.raises(InputError, match="Received: ptb.valid.txt, test.txt, train.txt"):
        read_text_folder(tmp_path)
    write(tmp_path, FILE_NAMES[0] + FILE_NAMES[2])
    with pytest.raises(InputError, match="exactly one of these"):
        read_text_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_file(tmp_path, content):
    (tmp_path / "valid.txt").write_bytes(content)
    with pytest.raises(InputError, match="valid.txt must contain text"):
        read_lines(tmp_path / "valid.txt")


@pytest.mark.parametrize(
    "content, message",
    [
        ("a\nb\n".encode("utf-16"), "Received: UTF-16. .* iconv -f UTF-16 -t UTF-8"),
        (b"\xfe\xff" + "a\n".encode("utf-16-be"), "Received: UTF-16"),
        ("a\nb\n".encode("utf-16-le"), "NUL bytes. Received: one in line 1.* UTF-16LE -t UTF-8"),
        ("a\nb\n".encode("utf-16-be"), "NUL bytes. Received: one in line 1.* UTF-16BE -t UTF-8"),
        (b"a\nb\0c\n", "NUL bytes. Received: one in line 2"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_utf_16_and_nul_bytes(content, message, errors):
    with pytest.raises(InputError, match=f"^name must .*{message}"):
        list(decoded_lines(io.BytesIO(content), "name", errors))


def test_invalid_utf_8_may_pass():
    lines = list(decoded_lines(io.BytesIO(b"na\xefve\n"), "name", "surrogateescape"))
    assert [line.encode("utf-8", "surrogateescape") for line in lines] == [b"na\xefve"]


def test_marks_of_sentences():
    lines = ["<s> a b </s>", "a <eos>", "a<eos>", "a", "<s>"]
    with pytest.warns(
        UserWarning, match=r"^x has <eos>, .* in 3 of its lines.*too good.*sed -E 's"
    ) as got:
        assert list(warn_of_marks(lines, "x")) == lines
    assert len(got) == 1
    with pytest.warns(UserWarning, match="in 4 of its"):
        list(warn_of_marks(lines, "x", Tokenizer("basic")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(warn_of_marks(lines, "x", Tokenizer("character")))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_is_not_utf_8(tmp_path, mark):
    path = tmp_path / "train.txt"
    path.write_bytes(mark + b"a line\nna\xefve\n")
    with pytest.raises(InputError, match=r"byte 0xef in line 2.*iconv"):
        read_lines(path)


@pytest.mark.parametrize(
    "content, lines",
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"\na\n\n\n", ["", "a", "", ""]),
        (b"a\r\nb\rc\r\n", ["a", "b", "c"]),
        (b"a\r\r\nb\r", ["a", "", "b"]),
        # Byte order marks, as in files joined by `cat`.
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\r\xef\xbb\xbf\xef\xbb\xbfc", ["a", "b", "c"]),
        ("a\ufeff \ufeffb\n".encode(), ["a\ufeff \ufeffb"]),
        # `str.splitlines` would split these.
        ("a\u2028b\x0cc\x85d\n".encode(), ["a\u2028b\x0cc\x85d"]),
    ],
)
def test_lines(tmp_path, content, lines):
    path = tmp_path / "text"
    path.write_bytes(content)
    assert read_lines(path) == lines
