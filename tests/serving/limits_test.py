"""What no export answers, fed past Python's own checks, as TF-Serving feeds it."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from serving.limits import Limits
from serving.saved_model import export_saved_model
from tests.serving.exported import Exported, folder, run

LIMITS = Limits(max_batch_size=6, max_text_bytes=5000, max_text_words=50, max_words=20, max_k=30)
GOOD = {
    "score": {"text": ["w1 w2", "w3"]},
    "score_tokens": {"token_ids": [[1, 2, 3], [4, 5, 6]], "lengths": [3, 1]},
    "next_word": {"text": ["w1", "w2 w3"], "k": [1, 2]},
    "step": {"token_ids": [1, 2], "state": None},
    "generate": {
        "prompt": ["w1", "w2"],
        "max_words": [3, 5],
        "temperature": [1.0, 0.5],
        "top_k": [0, 3],
        "top_p": [1.0, 0.9],
        "seed": [0, 1],
    },
}
NAN, INFINITY = float("nan"), float("inf")


class Server:
    """Calls signatures by the session alone: nothing is checked before the graph runs."""

    def __init__(self, path):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(path))
        self._signatures = loaded.signature_def
        self._functions = {}

    def arrays(self, name, **inputs):
        """Inputs in the dtypes of a signature."""
        specs = self._signatures[name].inputs
        dtypes = {key: tf.as_dtype(specs[key].dtype).as_numpy_dtype for key in inputs}
        return {key: np.asarray(value, dtypes[key]) for key, value in inputs.items()}

    def call(self, name, **inputs):
        signature = self._signatures[name]
        outputs, keys = sorted(signature.outputs), sorted(signature.inputs)
        if name not in self._functions:
            options = config_pb2.CallableOptions()
            options.feed.extend(signature.inputs[key].name for key in keys)
            options.fetch.extend(signature.outputs[key].name for key in outputs)
            self._functions[name] = self._session._make_callable_from_options(options)
        return dict(zip(outputs, self._functions[name](*(inputs[key] for key in keys))))


@pytest.fixture(scope="module")
def tiny():
    _, model, vocabulary = run()
    export = export_saved_model(
        model, vocabulary, folder() / "limited", "tiny", limits=LIMITS, warmup=False
    )
    return Exported(model, vocabulary, export)


@pytest.fixture(scope="module")
def server(tiny):
    return Server(tiny.export.path)


@pytest.fixture(scope="module")
def good(tiny, server):
    """`{signature: (inputs, outputs)}` of good requests, answered before any bad one."""
    GOOD["step"]["state"] = tiny.zero_state(2)
    requests = {name: server.arrays(name, **inputs) for name, inputs in GOOD.items()}
    return {name: (inputs, server.call(name, **inputs)) for name, inputs in requests.items()}


def assert_refused(server, good, signature, *parts, **changes):
    """INVALID_ARGUMENT with these words, and then the good request gets its answer."""
    inputs, expected = good[signature]
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        server.call(signature, **{**inputs, **changes})
    for part in parts:
        assert part in caught.value.message
    found = server.call(signature, **inputs)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


class TestValues:
    @pytest.mark.parametrize(
        ("signature", "name", "values", "message"),
        [
            ("score", "text", [b"fine", b"\xff\xfe"], "`text` must be valid UTF-8. Row:] [1]"),
            ("score", "text", [b"caf\xc3", b""], "must be valid UTF-8. Row:] [0]"),
            ("score", "text", [b"\xed\xa0\x80", b""], "must be valid UTF-8. Row:] [0]"),
            (
                "score",
                "text",
                [b"w1 " * 400_000, b""],
                "a `text` may have 5000 bytes at most. Row:] [0] [Received:] [1200000]",
            ),
            (
                "score",
                "text",
                [b"", b"w1 " * 51],
                "a `text` may have 50 words at most. Row:] [1] [Received:] [51]",
            ),
            ("next_word", "text", [b"", b"\x80"], "`text` must be valid UTF-8. Row:] [1]"),
            ("next_word", "k", [1, 0], "`k` must be from 1 to 30. Row:] [1] [Received:] [0]"),
            ("next_word", "k", [31, 1], "`k` must be from 1 to 30. Row:] [0] [Received:] [31]"),
            (
                "score_tokens",
                "token_ids",
                [[1, 2, 3], [-1, 0, 0]],
                "`token_ids` must be at least 0, and below 23. Row:] [1] [Received:] [-1]",
            ),
            (
                "score_tokens",
                "token_ids",
                [[1, 2, 2**31 - 1], [1, 0, 0]],
                "below 23. Row:] [0] [Received:] [2147483647]",
            ),
            ("score_tokens", "token_ids", [[1, 2, 23], [1, 0, 0]], "Row:] [0] [Received:] [23]"),
            ("score_tokens", "lengths", [3, -1], "`lengths` must be at least 0"),
            ("score_tokens", "lengths", [4, 3], "Row:] [0] [Received:] [4]"),
            (
                "score_tokens",
                "token_ids",
                [[0] * 51] * 2,
                "`token_ids` may have 50 columns at most. Received:] [51]",
            ),
            ("step", "token_ids", [0, -1], "Row:] [1] [Received:] [-1]"),
            ("step", "token_ids", [23, 0], "Row:] [0] [Received:] [23]"),
            ("generate", "prompt", [b"", b"\xc0"], "`prompt` must be valid UTF-8. Row:] [1]"),
            ("generate", "prompt", [b"a" * 2**20, b""], "a `prompt` may have 5000 bytes"),
            (
                "generate",
                "max_words",
                [10**9, 1],
                "`max_words` must be from 1 to 20. Row:] [0] [Received:] [1000000000]",
            ),
            ("generate", "max_words", [1, 0], "Row:] [1] [Received:] [0]"),
            ("generate", "temperature", [1, NAN], "`temperature` must be a finite number of at"),
            ("generate", "temperature", [INFINITY, 1], "Row:] [0] [Received:] [inf]"),
            ("generate", "temperature", [1, -0.5], "Row:] [1] [Received:] [-0.5]"),
            ("generate", "top_k", [-1, 0], "`top_k` must be at least 0"),
            ("generate", "top_p", [0, 1], "`top_p` must be above 0, and at most 1. Row:] [0]"),
            ("generate", "top_p", [1, 1.5], "Row:] [1] [Received:] [1.5]"),
            ("generate", "top_p", [1, NAN], "Row:] [1] [Received:] [nan]"),
            ("generate", "seed", [0, -1], "`seed` must be at least 0, and below 2**62"),
            ("generate", "seed", [2**62, 0], "Row:] [0]"),
        ],
    )
    def test_what_is_out_of_range_is_named(self, server, good, signature, name, values, message):
        change = server.arrays(signature, **{name: values})
        assert_refused(server, good, signature, message, **change)

    @pytest.mark.parametrize("value", [NAN, INFINITY])
    def test_a_state_that_is_no_number(self, server, good, value):
        state = good["step"][0]["state"].copy()
        state[1, 3] = value
        assert_refused(server, good, "step", "`state` must be finite. Row:] [1]", state=state)

    def test_what_is_just_in_range_is_answered(self, server):
        text = server.arrays("score", text=["w1 " * 50, "\ud7ff\ufffd\U0010ffff\0", "w" * 5000])
        assert server.call("score", **text)["num_tokens"].tolist() == [51, 2, 2]
        inputs = server.arrays(
            "generate",
            prompt=["w1"],
            max_words=[20],
            temperature=[1e-30],
            top_k=[2**31 - 1],
            top_p=[1e-30],
            seed=[2**62 - 1],
        )
        assert server.call("generate", **inputs)["text"][0].startswith(b"w1")
        ids = server.arrays("score_tokens", token_ids=[[22] * 50] * 6, lengths=[50] * 6)
        found = server.call("score_tokens", **ids)["log_probabilities"]
        assert found.shape == (6, 50) and np.all(np.isfinite(found)) and np.all(found < 0)


class TestShapes:
    @pytest.mark.parametrize("signature", GOOD)
    def test_too_many_rows(self, server, good, signature):
        inputs = {name: np.repeat(value, 4, axis=0) for name, value in good[signature][0].items()}
        message = "a request may have 6 rows at most. Received:] [8]"
        assert_refused(server, good, signature, message, **inputs)

    @pytest.mark.parametrize(
        ("signature", "name"),
        [(name, key) for name, inputs in GOOD.items() for key in inputs if len(inputs) > 1],
    )
    def test_unequal_numbers_of_rows(self, server, good, signature, name):
        """A row more, a row less, and none."""
        value = good[signature][0][name]
        for other in (np.concatenate([value, value[:1]]), value[:1], value[:0]):
            message = "must have as many rows as each other. Received:]"
            assert_refused(server, good, signature, message, **{name: other})

    @pytest.mark.parametrize(
        ("signature", "name"), [(name, key) for name, inputs in GOOD.items() for key in inputs]
    )
    def test_another_rank(self, server, good, signature, name):
        value = good[signature][0][name]
        scalar = np.array(value.flat[0], value.dtype)
        for other in (value.reshape(-1)[np.newaxis, np.newaxis], scalar):
            message = "is not compatible with expected shape"
            assert_refused(server, good, signature, message, **{name: other})

    @pytest.mark.parametrize(
        ("signature", "name"), [(name, key) for name, inputs in GOOD.items() for key in inputs]
    )
    def test_another_type(self, server, good, signature, name):
        value = good[signature][0][name]
        for dtype in ("float64", "int16", "bool"):
            other = np.ones(value.shape, dtype)
            assert_refused(server, good, signature, "Type mismatch", **{name: other})

    def test_another_width_of_the_state(self, server, good):
        state = good["step"][0]["state"]
        for other in (state[:, 1:], np.pad(state, ((0, 0), (0, 1))), state[:, :0]):
            message = "is not compatible with expected shape"
            assert_refused(server, good, "step", message, state=other)
