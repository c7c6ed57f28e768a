"""Valid, malformed and damaged requests to the development server."""

import http.client
import json
import random
import urllib.error
import urllib.parse
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.server import Server
from tests.serving.exported import REQUESTS, exported
from tests.test_case import assert_close
from trainers.errors import UserError


@pytest.fixture(scope="module")
def server():
    with Server(exported().path) as server:
        yield server


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(autouse=True)
def still_answers(server):
    """After every test, a valid request is answered correctly."""
    yield
    code, content = post(server, {"instances": ["w1 dog"]})
    assert code == 200
    row = content["predictions"][0]
    assert_close(row["log_probability"], exported().score("w1 dog"), 1e-5)


def send(url, data=None):
    """Returns the code and the decoded JSON of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def post(server, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return send(f"{server.rest_url}:predict", data)


def request_of(signature, inputs=(), name="tiny"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key in inputs:
        request.inputs[key].CopyFrom(tf.make_tensor_proto(inputs[key]))
    return request


def grpc_code(stub, request):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=30)
    return caught.value.code().name


class TestREST:
    def test_columns_and_rows(self, server):
        expected = exported().call("next_word", text=["w1", "café"], k=[2, 1])
        words = [[word.decode() for word in row] for row in expected["words"]]
        inputs = {"text": ["w1", "café"], "k": [2, 1]}
        _, columns = post(server, {"signature_name": "next_word", "inputs": inputs})
        assert columns["outputs"]["words"] == words
        rows = [{"text": "w1", "k": 2}, {"text": "café", "k": 1}]
        _, rows = post(server, {"signature_name": "next_word", "instances": rows})
        assert [row["words"] for row in rows["predictions"]] == words

    def test_a_single_input_and_output_need_no_name(self, server):
        body = {"signature_name": "generate", "inputs": REQUESTS["generate"]}
        first, second = post(server, body)[1]["outputs"]
        assert first.startswith("w1") and second.startswith("w2")
        assert post(server, {"inputs": ["w1"]})[1]["outputs"]["num_tokens"] == [2]

    def test_status(self, server):
        code, content = send(server.rest_url)
        (version,) = content["model_version_status"]
        assert code == 200
        assert version == {"version": str(server.version), "state": "AVAILABLE"}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"\xff\xfe",
            b'{"instances": ["a"',
            b'{"instances": ' + b"[" * 50_000,
            b'{"instances": []}',
            b'{"instances": {}}',
            b'{"instances": [null]}',
            b'{"instances": ["\\ud800"]}',
            b'{"instances": [["a"], "a"]}',
            b'{"instances": [{"k": 1}, {}]}',
            b'{"signature_name": "step", "inputs": [1]}',
            b'{"signature_name": "next_word", "inputs": {"text": ["a"], "k": [1.5]}}',
            b'{"signature_name": "next_word", "inputs": {"text": ["a"], "k": [9999999999]}}',
            b'{"signature_name": "next_word", "inputs": {"text": ["a"], "k": [0]}}',
        ],
        ids=lambda body: repr(body[-30:]),
    )
    def test_invalid_bodies(self, server, body):
        code, content = post(server, body)
        assert code == 400 and set(content) == {"error"}

    def test_unknown_signatures_models_and_paths(self, server):
        assert post(server, {"signature_name": "explain", "inputs": ["a"]})[0] == 404
        base = server.rest_url.removesuffix("/v1/models/tiny")
        for path in ("", "/v1/models/other", "/v1/models/tiny:classify", "/v1/models/tiny:predict"):
            assert send(base + path)[0] == 404

    def test_too_large_a_body(self, server):
        parts = urllib.parse.urlsplit(server.rest_url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        headers = {"Content-Length": str(2**30)}
        connection.request("POST", f"{parts.path}:predict", headers=headers)
        assert connection.getresponse().status == 413
        connection.close()

    def test_damaged_bodies(self, server):
        generator = random.Random(2)
        valid = json.dumps({"signature_name": "generate", "inputs": REQUESTS["generate"]}).encode()
        for _ in range(100):
            damaged = bytearray(valid)
            for _ in range(generator.randint(1, 4)):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            assert post(server, bytes(damaged))[0] in (200, 400, 404)


class TestGRPC:
    def test_unknown_signatures_models_and_versions(self, stub):
        assert grpc_code(stub, request_of("explain")) == "NOT_FOUND"
        assert grpc_code(stub, request_of("score", name="other")) == "NOT_FOUND"
        request = request_of("score")
        request.model_spec.version.value = -5
        assert grpc_code(stub, request) == "NOT_FOUND"

    def test_other_inputs_types_and_ranks(self, stub):
        for inputs in (
            {},
            {"text": [b"w1"], "k": [1]},
            {"text": np.int32([1])},
            {"text": b"w1"},
            {"text": [b"caf\xe9"]},
        ):
            assert grpc_code(stub, request_of("score", inputs)) == "INVALID_ARGUMENT"
        inputs = {"text": [b"w1"], "k": np.int64([2**40])}
        assert grpc_code(stub, request_of("next_word", inputs)) == "INVALID_ARGUMENT"

    @pytest.mark.parametrize(
        "tensor",
        [
            tensor_pb2.TensorProto(),
            tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING),
            tensor_pb2.TensorProto(dtype=types_pb2.DT_VARIANT),
            tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32, tensor_content=b"abc"),
            tensor_pb2.TensorProto(dtype=99999, int_val=[1]),
        ],
    )
    def test_malformed_tensors(self, stub, tensor):
        request = request_of("score")
        request.inputs["text"].CopyFrom(tensor)
        assert grpc_code(stub, request) == "INVALID_ARGUMENT"

    @pytest.mark.parametrize("shape", [[2**42], [-1, -(2**42)]])
    def test_a_few_bytes_that_describe_a_huge_tensor(self, stub, shape):
        request = request_of("score", {"text": [b"w1"]})
        del request.inputs["text"].tensor_shape.dim[:]
        for size in shape:
            request.inputs["text"].tensor_shape.dim.add(size=size)
        assert grpc_code(stub, request) == "INVALID_ARGUMENT"

    def test_too_large_a_message(self, stub):
        request = request_of("score", {"text": [b"a" * 2**25]})
        assert grpc_code(stub, request) == "RESOURCE_EXHAUSTED"

    def test_damaged_messages(self, server):
        generator = random.Random(0)
        dtypes = exported().loaded.signatures["generate"].structured_input_signature[1]
        inputs = {
            key: tf.constant(value, dtypes[key].dtype)
            for key, value in REQUESTS["generate"].items()
        }
        valid = request_of("generate", inputs).SerializeToString()
        with grpc.insecure_channel(server.grpc_address) as channel:
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            for _ in range(200):
                damaged = bytearray(valid)
                for _ in range(generator.randint(1, 8)):
                    damaged[generator.randrange(len(damaged))] = generator.randrange(256)
                try:
                    call(bytes(damaged[: generator.randint(1, len(damaged))]), timeout=30)
                except grpc.RpcError as error:
                    # INTERNAL comes from gRPC, which cannot parse the message.
                    code = error.code().name
                    assert code in ("INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"), error.details()


def test_a_folder_without_versions(tmp_path):
    with pytest.raises(UserError, match="no exported model"):
        Server(tmp_path)


def test_a_version_that_is_not_a_number(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UserError, match="named by its number. Received: "):
        Server(tmp_path)


def test_a_port_that_is_taken(server):
    port = int(server.grpc_address.rpartition(":")[2])
    for name, protocol in (("grpc_port", "gRPC"), ("rest_port", "REST")):
        with pytest.raises(UserError, match=f"{protocol} cannot listen on 127.0.0.1:{port}"):
            Server(exported().path, **{name: port})
