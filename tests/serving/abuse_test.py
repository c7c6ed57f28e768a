"""Requests that no client should make: each gets its status, and the server lives on."""

import json
import random
import urllib.parse

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client import Client
from tests.serving import tiny_model

NAN = float("nan")
STATE = np.zeros((1, tiny_model.STATE_SIZE), np.float32)
GENERATE = {
    "prompt": [b"w1"],
    "max_words": np.int32([3]),
    "temperature": np.float32([1]),
    "top_k": np.int32([0]),
    "top_p": np.float32([1]),
    "seed": np.int64([0]),
}


def generate(**changes):
    return "generate", {**GENERATE, **changes}


def step(token_ids, state=STATE):
    return "step", {"token_ids": token_ids, "state": state}


def score_tokens(token_ids, lengths):
    return "score_tokens", {"token_ids": token_ids, "lengths": lengths}


# Beyond a limit or against the signature: INVALID_ARGUMENT by both protocols.
BAD = {
    "ids outside the vocabulary": step(np.int32([10**6])),
    "a negative id": step(np.int32([-1])),
    "an id outside in a row": score_tokens(np.int32([[1, 10**6]]), np.int32([2])),
    "a negative length": score_tokens(np.int32([[1]]), np.int32([-1])),
    "a length over the width": score_tokens(np.int32([[1]]), np.int32([2])),
    "too wide": score_tokens(np.ones((1, 2000), np.int32), np.int32([1])),
    "too many rows": step(np.zeros(5000, np.int32), np.repeat(STATE, 5000, axis=0)),
    "fewer lengths than rows": score_tokens(np.int32([[1], [2]]), np.int32([1])),
    "a state of another model": step(np.int32([1]), STATE[:, 1:]),
    "a state that is no number": step(np.int32([1]), STATE * NAN),
    "a matrix for a vector": step(np.int32([[1]])),
    "a scalar": ("score", {"text": b"w1"}),
    "numbers for text": ("score", {"text": np.int32([1])}),
    "text for numbers": step([b"1"]),
    "floats for integers": step(np.float32([1])),
    "an input too few": ("next_word", {"text": [b"w1"]}),
    "a megabyte of one word": ("score", {"text": [b"a" * 2**20]}),
    "a megabyte of words": ("score", {"text": [b"a " * 2**19]}),
    "more words than a text may have": ("next_word", {"text": [b"w1 " * 3000], "k": np.int32([1])}),
    "invalid UTF-8": ("score", {"text": [b"caf\xe9 \xff\xfe"]}),
    "k of nothing": ("next_word", {"text": [b"w1"], "k": np.int32([0])}),
    "k of a billion": ("next_word", {"text": [b"w1"], "k": np.int32([10**9])}),
    "a billion words": generate(max_words=np.int32([10**9])),
    "no words": generate(max_words=np.int32([0])),
    "a temperature that is no number": generate(temperature=np.float32([NAN])),
    "a negative temperature": generate(temperature=np.float32([-1])),
    "an infinite temperature": generate(temperature=np.float32([np.inf])),
    "top_p of nothing": generate(top_p=np.float32([0])),
    "top_p that is no number": generate(top_p=np.float32([NAN])),
    "a negative top_k": generate(top_k=np.int32([-1])),
    "a negative seed": generate(seed=np.int64([-1])),
}


@pytest.fixture(scope="module")
def stub(served):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(served.grpc, options) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(autouse=True)
def lives_on(served):
    """After every test, the next good requests are answered right."""
    yield
    expected = tiny_model.score("w1 dog")[0]
    for address in served.addresses().values():
        with Client(address, "tiny") as client:
            [score] = client.score(["w1 dog"])
        assert score.log_probability == pytest.approx(expected, rel=1e-5)


def request_of(signature, inputs=(), name="tiny"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    for key in inputs:
        request.inputs[key].CopyFrom(tf.make_tensor_proto(inputs[key]))
    return request


def code_of(call, request):
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=30)
    assert error.value.details()
    return error.value.code().name


def post(served, body, path="tiny:predict"):
    response = requests.post(f"{served.rest}/v1/models/{path}", data=body, timeout=30)
    return response.status_code, response.text


def to_json(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [to_json(v) for v in value] if isinstance(value, list) else np.asarray(value).tolist()


class TestGRPC:
    @pytest.mark.parametrize("what", BAD)
    def test_bad_inputs(self, stub, what):
        assert code_of(stub.Predict, request_of(*BAD[what])) == "INVALID_ARGUMENT"

    def test_signatures_and_models_that_are_not_there(self, stub):
        assert code_of(stub.Predict, request_of("explain")) == "FAILED_PRECONDITION"
        assert code_of(stub.Predict, request_of("x" * 10_000)) == "FAILED_PRECONDITION"
        assert code_of(stub.Predict, request_of("score", name="other")) == "NOT_FOUND"
        assert code_of(stub.Predict, request_of("score", name="")) == "INVALID_ARGUMENT"
        assert code_of(stub.Predict, predict_pb2.PredictRequest()) == "INVALID_ARGUMENT"
        request = request_of("score")
        request.model_spec.version.value = -5
        assert code_of(stub.Predict, request) == "NOT_FOUND"

    def test_metadata_that_is_not_there(self, stub):
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = "tiny"
        assert code_of(stub.GetModelMetadata, request) == "INVALID_ARGUMENT"
        request.metadata_field.append("weights")
        assert code_of(stub.GetModelMetadata, request) == "INVALID_ARGUMENT"

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
        assert code_of(stub.Predict, request) == "INVALID_ARGUMENT"

    def test_a_few_bytes_for_a_tensor_of_terabytes(self, stub, local):
        request = request_of("step", {"state": STATE})
        tensor = request.inputs["token_ids"]
        tensor.dtype = types_pb2.DT_INT32
        tensor.int_val.append(1)
        tensor.tensor_shape.dim.add(size=2**42)
        assert code_of(stub.Predict, request) == "INVALID_ARGUMENT"

    def test_empty_batches_are_answered(self, stub):
        for signature, inputs, output in [
            ("score", {"text": np.array([], object)}, "perplexity"),
            ("step", {"token_ids": np.int32([]), "state": STATE[:0]}, "next_state"),
            ("generate", {key: np.asarray(v)[:0] for key, v in GENERATE.items()}, "text"),
        ]:
            request = request_of(signature)
            for key, value in inputs.items():
                dtype = tf.string if value.dtype.kind in "OS" else None
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value, dtype))
            response = stub.Predict(request, timeout=30)
            assert tf.make_ndarray(response.outputs[output]).shape[0] == 0

    def test_a_message_beyond_the_limit_of_serving_local(self, local):
        with grpc.insecure_channel(local.grpc, [("grpc.max_send_message_length", -1)]) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            request = request_of("score", {"text": [b"a" * 20_000_000]})
            assert code_of(stub.Predict, request) == "RESOURCE_EXHAUSTED"

    def test_bytes_that_are_no_message(self, served):
        generator = random.Random(0)
        good = request_of(*generate()).SerializeToString()
        with grpc.insecure_channel(served.grpc) as channel:
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            for _ in range(200):
                damaged = bytearray(good)
                for _ in range(generator.randint(1, 8)):
                    damaged[generator.randrange(len(damaged))] = generator.randrange(256)
                try:
                    call(bytes(damaged[: generator.randint(1, len(damaged))]), timeout=30)
                except grpc.RpcError as error:
                    # INTERNAL: gRPC itself cannot read it.
                    assert error.code().name in (
                        "INVALID_ARGUMENT",
                        "NOT_FOUND",
                        "FAILED_PRECONDITION",
                        "INTERNAL",
                        "UNIMPLEMENTED",
                    )
                    assert "in the server" not in error.details()


class TestREST:
    @pytest.mark.parametrize("what", BAD)
    def test_bad_inputs(self, served, what):
        signature, inputs = BAD[what]
        if what == "invalid UTF-8":
            columns = {"text": [{"b64": "Y2Fm6SD//g=="}]}
        else:
            columns = {key: to_json(value) for key, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns})
        code, text = post(served, body)
        assert code == 400, text
        assert set(json.loads(text)) == {"error"}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b'"text"',
            b"\xff\xfe",
            b'{"instances": ["a"',
            b"{" * 1000,
            b'{"instances": ' + b"[" * 1_000_000,
            b'{"signature_name": 5, "instances": ["a"]}',
            b'{"signature_name": "explain", "instances": ["a"]}',
            b'{"instances": []}',
            b'{"instances": {}}',
            b'{"instances": [null]}',
            b'{"instances": ["\\ud800"]}',
            b'{"instances": ["a"], "inputs": ["a"]}',
            b'{"instances": [["a"], "a"]}',
            b"\x00" * 99,
        ],
        ids=lambda body: repr(body[:30]),
    )
    def test_bad_bodies(self, local, body):
        code, text = post(local, body)
        assert code == 400, text
        assert set(json.loads(text)) == {"error"}

    def test_a_body_beyond_the_limit_of_serving_local(self, local):
        assert post(local, b"a" * 20_000_000)[0] == 413
        chunks = (b"a" * 1_000_000 for _ in range(20))
        try:
            assert post(local, chunks)[0] == 413
        except requests.ConnectionError:
            pass  # it has hung up while the rest was still being sent

    def test_paths(self, local):
        generator = random.Random(1)
        for _ in range(200):
            letters = (chr(generator.randrange(1, 0x800)) for _ in range(generator.randint(0, 20)))
            path = urllib.parse.quote("".join(letters), safe="/:%")
            assert post(local, b"{}", path)[0] in (400, 404)

    def test_damaged_bodies(self, local):
        generator = random.Random(2)
        columns = {key: to_json(value) for key, value in GENERATE.items()}
        good = json.dumps({"signature_name": "generate", "inputs": columns}).encode()
        for _ in range(200):
            damaged = bytearray(good)
            for _ in range(generator.randint(1, 4)):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            code, text = post(local, bytes(damaged))
            assert code in (200, 400), text
