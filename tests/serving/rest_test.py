"""Tests of the REST routes, without a network."""

import json
import pathlib
import re

import pytest
from werkzeug.test import Client

from serving.rest import make_application
from serving.servable import Servable
from tests.serving import tiny_model


@pytest.fixture(scope="module")
def rest(model_folder):
    servable = Servable(model_folder / "1", "tiny", 1, labels=["stable"])
    yield Client(make_application(servable, timeout=10.0))
    servable.close()


def post(rest, path, body):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = rest.post(path, data=body)
    assert response.content_type == "application/json"
    return response.status_code, json.loads(response.data)


def get(rest, path):
    response = rest.get(path)
    assert response.content_type == "application/json"
    return response.status_code, json.loads(response.data)


@pytest.mark.parametrize("which", ["", "/versions/1", "/labels/stable"])
def test_predict_by_row(rest, which):
    code, answer = post(rest, f"/v1/models/tiny{which}:predict", {"instances": ["w1 café"]})
    log_probability, num_tokens, num_unknown = tiny_model.score("w1 café")
    assert code == 200
    [row] = answer["predictions"]
    assert row["log_probability"] == pytest.approx(log_probability, rel=1e-5)
    assert (row["num_tokens"], row["num_unknown"]) == (num_tokens, num_unknown)
    assert set(row) == {"log_probability", "num_tokens", "num_unknown", "perplexity"}


def test_predict_by_column(rest):
    body = {"signature_name": "next_word", "inputs": {"text": ["w1", ""], "k": [2, 1]}}
    code, answer = post(rest, "/V1/models/tiny:PREDICT", body)
    assert code == 200
    [first, second], [third] = (tiny_model.next_words(text, k) for text, k in (("w1", 2), ("", 1)))
    assert answer["outputs"]["words"] == [[first[0], second[0]], [third[0], ""]]
    assert answer["outputs"]["log_probabilities"][1][1] == float("-inf")


def test_a_single_output_has_no_name(rest):
    inputs = {"token_ids": [[2, 3]], "lengths": [2]}
    body = {"signature_name": "score_tokens", "inputs": inputs}
    _, answer = post(rest, "/v1/models/tiny:predict", body)
    expected = list(tiny_model.log_probabilities([2, 3]))
    assert answer["outputs"] == [pytest.approx(expected, rel=1e-4)]


@pytest.mark.parametrize("which", ["", "/versions/1", "/labels/stable"])
def test_status(rest, which):
    expected = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    assert get(rest, f"/v1/models/tiny{which}") == (200, {"model_version_status": [expected]})


def test_metadata(rest):
    code, answer = get(rest, "/v1/models/tiny/versions/1/metadata")
    assert code == 200
    assert answer["model_spec"] == {"name": "tiny", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "step"} <= set(signatures)
    state = signatures["step"]["inputs"]["state"]
    assert state["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in state["tensor_shape"]["dim"]] == [
        "-1",
        str(tiny_model.STATE_SIZE),
    ]


GOOD = {"instances": ["a"]}
TOO_LONG = {"instances": ["a" * 100_000]}


@pytest.mark.parametrize(
    "path,body,code,said",
    [
        ("tiny/versions/2:predict", GOOD, 404, "Servable not found for request: Specific(tiny, 2)"),
        ("other:predict", GOOD, 404, "Servable not found for request: Latest(other)"),
        ("tiny/labels/new:predict", GOOD, 400, "Unrecognized servable version label: new"),
        (f"tiny/versions/{10**30}:predict", GOOD, 400, "Failed to convert version"),
        ("tiny:classify", GOOD, 501, "only predict"),
        ("tiny:explode", GOOD, 400, "Malformed request: POST /v1/models/tiny:explode"),
        ("tiny", GOOD, 400, "Malformed request"),
        ("tiny:predict", b"{", 400, "JSON Parse error"),
        ("tiny:predict", {"signature_name": "x", **GOOD}, 400, '"x" not found in signature def'),
        ("tiny:predict", {"instances": [1]}, 400, "not of expected type: string"),
        ("tiny:predict", {"inputs": {"text": [["a"]]}}, 400, "shape"),
        ("tiny:predict", TOO_LONG, 400, "65536 bytes at most"),
    ],
)
def test_refusals(rest, path, body, code, said):
    found, answer = post(rest, f"/v1/models/{path}", body)
    assert found == code
    assert set(answer) == {"error"}
    assert said in answer["error"]


@pytest.mark.parametrize(
    "path,code,said",
    [
        ("/v1/models", 400, "Missing model name"),
        ("/v1/models/other", 404, "Could not find any versions of model other"),
        ("/v1/models/tiny/versions/2", 404, "Could not find version 2 of model tiny"),
        ("/v1/models/tiny/labels/new", 400, "Unrecognized servable version label: new"),
        ("/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/tiny:predict", 400, "Malformed request: GET"),
        ("/", 400, "Malformed request: GET /"),
    ],
)
def test_refusals_of_get(rest, path, code, said):
    found, answer = get(rest, path)
    assert (found, set(answer)) == (code, {"error"})
    assert said in answer["error"]


def test_the_requests_of_the_readme(rest):
    text = (pathlib.Path(__file__).absolute().parents[2] / "serving" / "README.md").read_text()
    bodies = re.findall(r"curl -d '(.*?)'", text, re.DOTALL)
    assert len(bodies) >= 3
    for body in bodies:
        code, answer = post(rest, "/v1/models/tiny:predict", body.encode())
        assert code == 200, answer
