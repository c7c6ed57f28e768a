"""Requests that the graph rejects."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.exported import REQUESTS, exported

NAN, INFINITY = float("nan"), float("inf")


def assert_rejected(signature, message, **changes):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        exported().call(signature, **{**REQUESTS[signature], **changes})
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("signature", "name", "values", "message"),
    [
        ("score", "text", [b"fine", b"\xff\xfe"], "`text` must be valid UTF-8. Row:] [1]"),
        ("score", "text", [b"", b"w1 " * 51], "50 words. Row:] [1] [Received:] [51]"),
        ("next_word", "text", [b"", b"caf\xc3"], "`text` must be valid UTF-8. Row:] [1]"),
        ("next_word", "k", [1, 0], "`k` must be from 1 to 22. Row:] [1] [Received:] [0]"),
        ("next_word", "k", [31, 1], "`k` must be from 1 to 22. Row:] [0] [Received:] [31]"),
        ("score_tokens", "token_ids", [[1, 2, 3], [-1, 0, 0]], "from 0 to 21. Row:] [1]"),
        ("score_tokens", "token_ids", [[1, 2, 2**31 - 1], [1, 0, 0]], "from 0 to 21. Row:] [0]"),
        (
            "score_tokens",
            "lengths",
            [3, -1],
            "`lengths` must be from 0 to the number of columns. Row:] [1]",
        ),
        ("score_tokens", "lengths", [4, 3], "Row:] [0] [Received:] [4]"),
        ("score_tokens", "token_ids", [[0] * 51] * 2, "at most 50 columns. Received:] [51]"),
        ("step", "token_ids", [0, -1], "from 0 to 21. Row:] [1] [Received:] [-1]"),
        ("step", "state", [[0.0] * 28, [NAN] * 28], "`state` must be finite. Row:] [1]"),
        ("step", "state", np.zeros((2, 27)), "is not compatible with expected shape"),
        ("generate", "prompt", [b"", b"\xc0"], "`prompt` must be valid UTF-8. Row:] [1]"),
        ("generate", "max_words", [10**9, 1], "from 1 to 20. Row:] [0] [Received:] [1000000000]"),
        ("generate", "temperature", [1, NAN], "`temperature` must be from 0 to"),
        ("generate", "temperature", [INFINITY, 1], "Row:] [0] [Received:] [inf]"),
        ("generate", "top_k", [-1, 0], "`top_k` must be from 0 to 2147483647. Row:] [0]"),
        ("generate", "top_p", [0, 1], "`top_p` must be above 0 and at most 1. Row:] [0]"),
        ("generate", "top_p", [1, NAN], "Row:] [1] [Received:] [nan]"),
        ("generate", "seed", [0, -1], "`seed` must be from 0 to 4611686018427387903. Row:] [1]"),
    ],
)
def test_values_out_of_range(signature, name, values, message):
    assert_rejected(signature, message, **{name: values})


@pytest.mark.parametrize("signature", REQUESTS)
def test_too_many_rows(signature):
    inputs = {name: np.repeat(value, 36, axis=0) for name, value in REQUESTS[signature].items()}
    assert_rejected(signature, "at most 70 rows. Received:] [72]", **inputs)


@pytest.mark.parametrize(
    ("signature", "name"),
    [(signature, name) for signature, inputs in REQUESTS.items() for name in inputs],
)
def test_unequal_numbers_of_rows_and_wrong_ranks(signature, name):
    value = np.asarray(REQUESTS[signature][name])
    if len(REQUESTS[signature]) > 1:
        assert_rejected(signature, "the same number of rows", **{name: value[:1]})
    message = "is not compatible with expected shape"
    assert_rejected(signature, message, **{name: value[np.newaxis, np.newaxis]})


def test_the_largest_values_are_accepted():
    tiny = exported()
    outputs = tiny.call("score", text=["w1 " * 50, "\ud7ff\ufffd\U0010ffff\0", "w" * 5000])
    assert outputs["num_tokens"].tolist() == [51, 2, 2]
    options = {
        "max_words": [20],
        "temperature": [1e-30],
        "top_k": [2**31 - 1],
        "top_p": [1e-30],
        "seed": [2**62 - 1],
    }
    assert tiny.call("generate", prompt=["w1"], **options)["text"][0].startswith(b"w1")
    outputs = tiny.call("score_tokens", token_ids=[[21] * 50] * 70, lengths=[50] * 70)
    assert np.all(np.isfinite(outputs["log_probabilities"]))
