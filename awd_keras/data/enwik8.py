"""enwik8, the first 100 million bytes of an English Wikipedia, a corpus of characters."""

import hashlib
import pathlib

from awd_keras.errors import InputError

_SIZE = 100_000_000
_SHA256 = "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"


def read_enwik8(data_dir):
    """Returns the lines of each split of `data_dir/enwik8` and their source.

    The split of the file (http://mattmahoney.net/dc/enwik8.zip) is 90/5/5, as usual. Each byte is
    read as one ISO-8859-1 character, and each newline as `<eos>`, as in the authors' code. So with
    the tokenizer `"character"`, tokens are bytes.
    """
    path = pathlib.Path(data_dir).expanduser() / "enwik8"
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if (len(content), digest) != (_SIZE, _SHA256):
        raise InputError(
            f"{path} must be enwik8: {_SIZE:,} bytes, sha256 {_SHA256[:12]}. Received: "
            f"{len(content):,} bytes, sha256 {digest[:12]}. Unpack enwik8.zip again."
        )
    ends = {"train": _SIZE * 90 // 100, "validation": _SIZE * 95 // 100, "test": _SIZE}
    texts, start = {}, 0
    for split, end in ends.items():
        text = content[start:end].decode("iso-8859-1")
        texts[split], start = text.removesuffix("\n").split("\n"), end
    return texts, str(path)
