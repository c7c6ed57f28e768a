"""Tests of TF-Serving's JSON for tensors."""

import json

import numpy as np
import pytest

from serving.json_tensors import (
    decode_output,
    encode_input,
    parse_request,
    read_inputs,
    write_outputs,
)
from serving.status import StatusError

STRING, INT, FLOAT, BOOL = (np.dtype(kind) for kind in (object, np.int32, np.float32, bool))
TWO = {"text": STRING, "k": INT}


def strings(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


class TestParseRequest:
    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff{}", b"[1]", b"1", b"null", b'{"signature_name": 1}', b"[" * 100_000],
        ids=lambda body: repr(body[:20]),
    )
    def test_what_is_no_request(self, body):
        with pytest.raises(StatusError) as error:
            parse_request(body)
        assert error.value.code == "INVALID_ARGUMENT"
        assert len(error.value.message) < 500


class TestReadInputs:
    def test_rows_of_one_input_need_no_names(self):
        arrays, by_row = read_inputs({"instances": ["a", "é"]}, {"text": STRING})
        assert by_row
        assert arrays["text"].tolist() == [b"a", "é".encode()]

    def test_rows_of_several(self):
        rows = [{"text": "a", "k": 1}, {"k": 2, "text": {"b64": "/w=="}}]
        arrays, by_row = read_inputs({"instances": rows}, TWO)
        assert by_row
        assert arrays["text"].tolist() == [b"a", b"\xff"]
        assert arrays["k"].tolist() == [1, 2] and arrays["k"].dtype == np.int32

    def test_columns(self):
        arrays, by_row = read_inputs({"inputs": {"text": [], "k": [[1, 2], [3, 4]]}}, TWO)
        assert not by_row
        assert arrays["text"].shape == (0,) and arrays["text"].dtype == object
        np.testing.assert_array_equal(arrays["k"], [[1, 2], [3, 4]])

    def test_one_column_needs_no_name(self):
        arrays, _ = read_inputs({"inputs": [1, 2.5, 1e-3]}, {"x": FLOAT})
        assert arrays["x"].dtype == np.float32
        np.testing.assert_array_equal(arrays["x"], np.float32([1, 2.5, 1e-3]))

    def test_not_a_number_and_infinities(self):
        request = parse_request(b'{"inputs": [NaN, Infinity, -Infinity]}')
        arrays, _ = read_inputs(request, {"x": FLOAT})
        np.testing.assert_array_equal(arrays["x"], [np.nan, np.inf, -np.inf])

    @pytest.mark.parametrize(
        "request_,dtypes",
        [
            ({}, TWO),
            ({"inputs": {}, "instances": []}, TWO),
            ({"instances": []}, TWO),
            ({"instances": "a"}, {"text": STRING}),
            ({"instances": ["a"]}, TWO),
            ({"instances": [{"text": "a"}]}, TWO),
            ({"instances": [{"text": "a", "k": 1, "x": 1}]}, TWO),
            ({"instances": [{"text": "a", "k": 1}, 7]}, TWO),
            ({"inputs": {"text": ["a"]}}, TWO),
            ({"inputs": ["a"]}, TWO),
            ({"inputs": [1]}, {"text": STRING}),
            ({"inputs": ["1"]}, {"k": INT}),
            ({"inputs": [1.0]}, {"k": INT}),
            ({"inputs": [True]}, {"k": INT}),
            ({"inputs": [2**31]}, {"k": INT}),
            ({"inputs": [10**400]}, {"x": FLOAT}),
            ({"inputs": [1e300]}, {"x": FLOAT}),
            ({"inputs": [None]}, {"x": FLOAT}),
            ({"inputs": [True]}, {"x": FLOAT}),
            ({"inputs": [0]}, {"b": BOOL}),
            ({"inputs": [{"b64": "?"}]}, {"text": STRING}),
            ({"inputs": [{"b64": 1}]}, {"text": STRING}),
            ({"inputs": ["\ud800"]}, {"text": STRING}),
            ({"inputs": [[1, 2], [3]]}, {"k": INT}),
            ({"inputs": [[1, 2], 3]}, {"k": INT}),
            ({"inputs": [1, [2]]}, {"k": INT}),
            ({"inputs": json.loads("[" * 100 + "]" * 100)}, {"k": INT}),
        ],
        ids=lambda value: json.dumps(value, default=str)[:60],
    )
    def test_what_the_signature_does_not_take(self, request_, dtypes):
        with pytest.raises(StatusError) as error:
            read_inputs(request_, dtypes)
        assert error.value.code == "INVALID_ARGUMENT"


class TestWriteOutputs:
    OUTPUTS = {"words": strings(b"a", "é".encode()), "p": np.float32([-3.4, -np.inf])}

    def test_rows(self):
        answer = json.loads(write_outputs(self.OUTPUTS, True))
        assert answer == {
            "predictions": [{"words": "a", "p": pytest.approx(-3.4)}, {"words": "é", "p": -np.inf}]
        }

    def test_columns(self):
        answer = json.loads(write_outputs(self.OUTPUTS, False))["outputs"]
        assert answer == {"words": ["a", "é"], "p": [pytest.approx(-3.4), -np.inf]}

    @pytest.mark.parametrize("by_row,key", [(True, "predictions"), (False, "outputs")])
    def test_one_output_loses_its_name(self, by_row, key):
        assert json.loads(write_outputs({"n": np.array([[1, 2]])}, by_row)) == {key: [[1, 2]]}

    def test_bytes_are_base64(self):
        answer = json.loads(write_outputs({"raw_bytes": strings(b"\xff")}, True))
        assert answer == {"predictions": [{"b64": "/w=="}]}

    def test_different_numbers_of_rows_cannot_be_rows(self):
        outputs = {"a": np.zeros(2), "b": np.zeros(3)}
        with pytest.raises(StatusError, match="first dimension"):
            write_outputs(outputs, True)
        assert json.loads(write_outputs(outputs, False))["outputs"]["b"] == [0.0] * 3

    def test_float32_comes_back_to_the_last_bit_in_few_digits(self):
        generator = np.random.default_rng(0)
        scale = 10.0 ** generator.integers(-20, 20, 10_000)
        values = (generator.normal(size=10_000) * scale).astype("float32")
        body = write_outputs({"x": values}, False)
        answer = np.array(json.loads(body)["outputs"], np.float32)
        np.testing.assert_array_equal(answer, values)
        body = write_outputs({"x": np.float32([0.1])}, False)
        assert len(body) <= len('{"outputs": [0.100000001]}')


def test_a_clients_inputs_and_outputs():
    values = encode_input(strings(b"a", b"\xff", "é".encode()))
    assert values == ["a", {"b64": "/w=="}, "é"]
    assert decode_output(values, STRING).tolist() == [b"a", b"\xff", "é".encode()]
    assert encode_input(np.float32([[0.5]])) == [[0.5]]
