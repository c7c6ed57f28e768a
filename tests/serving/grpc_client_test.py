"""The client, with the development server in the same process."""

import contextlib
import shutil
import subprocess
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.grpc_client import Client
from serving.server import Server
from tests.serving.exported import exported
from tests.test_case import assert_close


@pytest.fixture(scope="module")
def client():
    with Server(exported().path) as server, Client(server.grpc_address, "tiny") as client:
        yield client


class TestCalls:
    def test_score(self, client):
        scores = client.score(["w1 dog", "", b"caf\xc3\xa9"])
        expected = [exported().score(text) for text in ("w1 dog", "", "café")]
        assert_close([score.log_probability for score in scores], expected, 1e-5)
        assert [score.num_tokens for score in scores] == [3, 1, 2]
        assert [score.num_unknown for score in scores] == [1, 0, 0]
        perplexity = np.exp(-scores[0].log_probability / 3)
        assert scores[0].perplexity == pytest.approx(perplexity, rel=1e-5)

    def test_score_tokens(self, client):
        rows = client.score_tokens([[3, 1, 4], [], [5]])
        assert [len(row) for row in rows] == [3, 0, 1]
        expected = exported().log_probabilities([exported().vocabulary.eos_id, 3, 1])
        assert_close(rows[0], expected[np.arange(3), [3, 1, 4]], 1e-5)

    def test_next_word(self, client):
        first, second = client.next_word(["w1 w2", ""], k=3)
        expected = exported().log_probabilities(exported().encode("w1 w2"))[-1]
        assert first[0][0] == exported().vocabulary.words[int(np.argmax(expected))]
        assert_close(first[0][1], np.max(expected), 1e-5)
        assert len(first) == len(second) == 3

    def test_step(self, client):
        state = exported().zero_state(1)
        for token_id in exported().encode("w2 w1"):
            log_probabilities, state = client.step([token_id], state)
        expected = exported().log_probabilities(exported().encode("w2 w1"))[-1]
        assert_close(log_probabilities[0], expected, 1e-5)

    def test_generate(self, client):
        texts = client.generate(["w1", ""], max_words=4, top_k=5, seed=3)
        assert texts[0].startswith("w1") and all(len(text.split()) <= 5 for text in texts)
        assert texts == client.generate(["w1", ""], max_words=4, top_k=5, seed=3)

    def test_a_rejected_request(self, client):
        with pytest.raises(grpc.RpcError) as caught:
            client.next_word(["w1"], k=0)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == (
            "assertion failed: [`k` must be from 1 to 22. Row:] [0] [Received:] [0]"
        )


class Fails(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Fails with a status a number of times, then answers with one score."""

    def __init__(self, code, times):
        self.code, self.times, self.requests = code, times, []

    def Predict(self, request, context):  # noqa: N802
        self.requests.append(request)
        if len(self.requests) <= self.times:
            context.abort(self.code, "not now")
        outputs = {"log_probability": [-1.0], "num_tokens": [1], "num_unknown": [0]}
        outputs = {name: tf.make_tensor_proto(value) for name, value in outputs.items()}
        outputs["perplexity"] = tf.make_tensor_proto([np.e])
        return predict_pb2.PredictResponse(outputs=outputs)


@contextlib.contextmanager
def serving(servicer, credentials=None):
    """Serves a servicer; yields its port."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield port
    server.stop(None).wait()


class TestConnection:
    def test_unavailable_is_retried(self):
        servicer = Fails(grpc.StatusCode.UNAVAILABLE, times=2)
        with serving(servicer) as port, Client(f"127.0.0.1:{port}", "tiny", version=3) as client:
            assert client.score(["w1"])[0].log_probability == -1
        assert len(servicer.requests) == 3
        spec = servicer.requests[0].model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("tiny", 3, "score")

    def test_other_failures_are_not_retried(self):
        servicer = Fails(grpc.StatusCode.INTERNAL, times=1)
        with serving(servicer) as port, Client(f"127.0.0.1:{port}") as client:
            with pytest.raises(grpc.RpcError, match="not now"):
                client.score(["w1"])
        assert len(servicer.requests) == 1

    def test_the_deadline(self):
        with Client("127.0.0.1:1", deadline=0.2) as client:
            with pytest.raises(grpc.RpcError) as caught:
                client.score(["w1"])
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    def test_tls(self, tmp_path):
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        arguments = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext"
        subprocess.run(
            ["openssl", *arguments.split(), "subjectAltName=DNS:localhost"]
            + ["-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        pair = key.read_bytes(), certificate.read_bytes()
        servicer = Fails(grpc.StatusCode.INTERNAL, times=0)
        with serving(servicer, grpc.ssl_server_credentials([pair])) as port:
            trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
            with Client(f"localhost:{port}", credentials=trusted) as client:
                assert client.score(["w1"])[0].log_probability == -1
