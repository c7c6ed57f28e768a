"""Tests of the client, by gRPC and by REST, against every server there is."""

import concurrent.futures
import contextlib
import http.server
import json
import shutil
import ssl
import subprocess
import threading
import time

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving import rest_transport
from serving.client import Client, Score, StatusError
from serving.rest_transport import RestTransport
from tests.serving import tiny_model

TEXTS = ["w1 w2 w3", "", "a dog  café\t", "w5 " * 300]


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


@pytest.fixture
def client(served, protocol):
    with Client(served.addresses()[protocol], "tiny") as client:
        yield client


class TestAnswers:
    def test_score(self, client):
        scores = client.score(TEXTS)
        assert all(isinstance(score, Score) for score in scores)
        for score, text in zip(scores, TEXTS):
            log_probability, num_tokens, num_unknown = tiny_model.score(text)
            assert score.log_probability == pytest.approx(log_probability, rel=1e-5)
            assert (score.num_tokens, score.num_unknown) == (num_tokens, num_unknown)
            perplexity = np.exp(-log_probability / num_tokens)
            assert score.perplexity == pytest.approx(perplexity, rel=1e-4)

    def test_score_tokens(self, client):
        rows = [[2, 3, 4], [], [5]]
        found = client.score_tokens(rows)
        assert [len(row) for row in found] == [3, 0, 1]
        for row, values in zip(rows, found):
            np.testing.assert_allclose(values, tiny_model.log_probabilities(row), rtol=1e-5)

    def test_next_word(self, client):
        found = client.next_word(["w1 w2", "", "dog"], k=[3, 1, 50])
        for text, k, row in zip(["w1 w2", "", "dog"], [3, 1, 50], found):
            expected = tiny_model.next_words(text, k)
            assert [word for word, _ in row] == [word for word, _ in expected]
            np.testing.assert_allclose([p for _, p in row], [p for _, p in expected], rtol=1e-5)

    def test_the_client_carries_the_state(self, client):
        assert client.state_size() == tiny_model.STATE_SIZE
        eos_id = tiny_model.WORDS.index("<eos>")
        text, state = [], None
        for token_id in (eos_id, 2, 5, 3):
            log_probabilities, state = client.step([token_id, eos_id], state)
            text += [token_id] if token_id != eos_id else []
            assert log_probabilities.shape == (2, len(tiny_model.WORDS))
            assert (log_probabilities.dtype, state.dtype) == (np.float32, np.float32)
            expected = tiny_model.after(text)
            np.testing.assert_allclose(log_probabilities[0], expected, rtol=1e-4, atol=1e-5)

    def test_generate(self, client):
        settings = {"max_words": 12, "top_k": 0, "top_p": 1.0}
        texts = client.generate(["w1", "café", "w1"], seed=[1, 2, 2**40], **settings)
        assert texts == client.generate(["w1", "café", "w1"], seed=[1, 2, 2**40], **settings)
        assert client.generate(["café"], seed=2, **settings) == texts[1:2]
        assert texts[1].startswith("café ") and texts[0] != texts[2]
        likeliest = client.generate(["w1"], max_words=[1], temperature=0.0)
        assert likeliest == [f"w1 {tiny_model.next_words('w1', 1)[0][0]}"]

    def test_nothing_asked_is_nothing_answered(self, client):
        assert client.score([]) == client.next_word([]) == client.generate([]) == []
        assert client.score_tokens([]) == []

    def test_metadata(self, client):
        signatures = client.metadata()
        assert {"serving_default", "score", "score_tokens", "next_word", "step", "generate"} <= set(
            signatures
        )
        step = signatures["step"]
        assert step["inputs"]["state"] == (np.dtype(np.float32), (None, tiny_model.STATE_SIZE))
        assert step["inputs"]["token_ids"] == (np.dtype(np.int32), (None,))
        assert set(step["outputs"]) == {"log_probabilities", "next_state"}
        assert signatures["score"]["inputs"]["text"][0] == np.dtype(object)

    def test_status(self, client):
        assert client.status() == {1: "AVAILABLE"}

    def test_several_threads(self, client):
        texts = [f"w1 {word}" for word in tiny_model.WORDS]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda text: client.score([text])[0].log_probability, texts)
        expected = [tiny_model.score(text)[0] for text in texts]
        np.testing.assert_allclose(list(found), expected, rtol=1e-5)


class TestVersions:
    def test_a_version(self, served, protocol):
        with Client(served.addresses()[protocol], "tiny", version=1) as client:
            assert client.score(["w1"])[0].num_tokens == 2
            assert client.status() == {1: "AVAILABLE"}

    def test_a_version_that_is_not_there(self, served, protocol):
        with Client(served.addresses()[protocol], "tiny", version=7) as client:
            with pytest.raises(StatusError, match="^NOT_FOUND: .*tiny, 7"):
                client.score(["w1"])
            with pytest.raises(StatusError, match="^NOT_FOUND: Could not find version 7 of model"):
                client.status()

    def test_a_model_that_is_not_there(self, served, protocol):
        with Client(served.addresses()[protocol], "other") as client:
            with pytest.raises(StatusError, match=r"^NOT_FOUND: .*Latest\(other\)"):
                client.metadata()

    def test_a_label(self, local, protocol):
        with Client(local.addresses()[protocol], "tiny", label="stable") as client:
            assert client.score(["w1"])[0].num_tokens == 2

    def test_a_label_that_is_not_there(self, served, protocol):
        with Client(served.addresses()[protocol], "tiny", label="nowhere") as client:
            with pytest.raises(StatusError, match="^INVALID_ARGUMENT: Unrecognized .* nowhere"):
                client.score(["w1"])


class TestRefusals:
    def test_an_error_says_what_the_server_said(self, client):
        with pytest.raises(StatusError, match="65536 bytes at most") as error:
            client.score(["w1", "a" * 1_000_000])
        assert error.value.code == "INVALID_ARGUMENT"
        with pytest.raises(StatusError, match="^INVALID_ARGUMENT: .*valid UTF-8"):
            client.score([b"caf\xe9"])
        with pytest.raises(StatusError, match="`token_ids` must be at least 0, and below"):
            client.step([999])
        with pytest.raises(StatusError, match="max_words"):
            client.generate(["w1"], max_words=10**9)
        assert client.score(["w1"])[0].num_tokens == 2

    def test_arguments_that_cannot_be(self, client):
        with pytest.raises(ValueError, match="texts must be a sequence of strings"):
            client.score("w1 w2")
        with pytest.raises(ValueError, match=r"k must be one value, or 2. Received shape: \(3,\)"):
            client.next_word(["a", "b"], k=[1, 2, 3])
        with pytest.raises(ValueError, match="max_words must be in .* 2147483647. Received: 10000"):
            client.generate(["a"], max_words=10**10)
        with pytest.raises(ValueError, match="at least one token id"):
            client.step([])
        for number in (2**31, -(2**40), 2**70, np.int64(2**32)):
            said = f"token_ids must be in -2147483648 to 2147483647. Received: {number}"
            with pytest.raises(ValueError, match=said):
                client.score_tokens([[1], [1, number]])
            with pytest.raises(ValueError, match=said):
                client.step([number])

    @pytest.mark.parametrize("server", ["", "localhost", "ftp://x:1", "http://", "://x:1"])
    def test_an_address_that_cannot_be(self, server):
        with pytest.raises(ValueError, match="expected a server as http://host:port"):
            Client(server)

    @pytest.mark.parametrize("scheme", ["", "http://"])
    def test_nobody_there(self, scheme):
        with Client(f"{scheme}127.0.0.1:1", max_attempts=2) as client:
            with pytest.raises(StatusError) as error:
                client.score(["w1"])
        assert error.value.code == "UNAVAILABLE"


class Flaky(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Unavailable so many times; then it answers with the number of the request."""

    def __init__(self, code, times):
        self.code, self.times, self.count = code, times, 0

    def Predict(self, request, context):  # noqa: N802
        self.count += 1
        if self.count <= self.times:
            context.abort(grpc.StatusCode[self.code], "come back later")
        response = predict_pb2.PredictResponse()
        columns = request.inputs["token_ids"].tensor_shape.dim[1].size
        values = np.full((1, columns), self.count, np.float32)
        response.outputs["log_probabilities"].CopyFrom(tf.make_tensor_proto(values))
        return response


@contextlib.contextmanager
def grpc_server(servicer, credentials=None):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    port = (
        server.add_secure_port("127.0.0.1:0", credentials)
        if credentials
        else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    try:
        yield f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
    finally:
        server.stop(0)


@contextlib.contextmanager
def http_server(answers, context=None):
    """Gives a list of (code, body) one after another, the last one for ever; None hangs up."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer()

        def do_GET(self):  # noqa: N802
            self.answer()

        def answer(self):
            asked.append(self.path)
            answer = answers[min(len(asked), len(answers)) - 1]
            if answer is None:
                self.close_connection = True
                return
            code, body = answer
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://localhost:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


LOADING = {"model_version_status": [{"version": "3", "state": "LOADING"}]}
STATUS = (200, json.dumps(LOADING).encode())


class TestUnavailable:
    def test_grpc_is_tried_again(self):
        servicer = Flaky("UNAVAILABLE", 2)
        with grpc_server(servicer) as address, Client(address, max_attempts=3) as client:
            assert client.score_tokens([[1]])[0].tolist() == [3.0]

    @pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL"])
    def test_grpc_is_not_tried_again(self, code):
        servicer = Flaky(code, 2)
        with grpc_server(servicer) as address, Client(address) as client:
            with pytest.raises(StatusError, match=f"^{code}: come back later$"):
                client.score_tokens([[1]])
        assert servicer.count == 1

    @pytest.mark.parametrize("failure", [(503, b'{"error": "loading"}'), (502, b"<html>"), None])
    def test_rest_is_tried_again(self, failure):
        with http_server([failure, failure, STATUS]) as (address, asked):
            with Client(address, "lm", max_attempts=3) as client:
                assert client.status() == {3: "LOADING"}
        assert asked == ["/v1/models/lm"] * 3

    @pytest.mark.parametrize(
        "answer,said",
        [
            ((400, b'{"error": "no"}'), "INVALID_ARGUMENT: no"),
            ((500, b"<h1>Oh\n no</h1>"), "INTERNAL: <h1>Oh no</h1>"),
            ((413, b""), "RESOURCE_EXHAUSTED: Request Entity Too Large"),
            ((200, b"<html>"), "INTERNAL: expected an answer of TF-Serving's form"),
            ((200, b"{}"), "INTERNAL: expected an answer of TF-Serving's form"),
            ((200, b'{"model_version_status": 7}'), "INTERNAL: expected an answer"),
        ],
    )
    def test_rest_is_not_tried_again(self, answer, said):
        with http_server([answer]) as (address, asked), Client(address, "lm") as client:
            with pytest.raises(StatusError) as error:
                client.status()
        assert str(error.value).startswith(said)
        assert len(asked) == 1

    def test_a_server_that_does_not_answer_in_time(self, protocol):
        import socket

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            address = address if protocol == "grpc" else f"http://{address}"
            with Client(address, deadline=0.3) as client:
                with pytest.raises(StatusError) as error:
                    client.status()
        # By gRPC the connection itself is not made in time, or the call.
        assert error.value.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")


@contextlib.contextmanager
def slow_server(pause, body):
    """Answers each request byte by byte, with a pause before each."""
    content = json.dumps(body).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for byte in content:
                    time.sleep(pause)
                    self.wfile.write(bytes([byte]))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class TestDeadlineOfRest:
    def test_it_is_that_of_the_whole_answer_not_of_each_piece(self):
        # Every piece comes in time, the last after many deadlines.
        with slow_server(0.05, LOADING) as address, Client(address, "lm", deadline=0.4) as client:
            started = time.monotonic()
            with pytest.raises(StatusError, match="^DEADLINE_EXCEEDED: no answer within 0.4 sec"):
                client.status()
            assert 0.3 < time.monotonic() - started < 1.5

    def test_the_first_request_gets_what_the_signatures_left(self, monkeypatch):
        transport = RestTransport("http://localhost:1", {"name": "lm"})
        seconds = []

        def ask(method, suffix, timeout, body=None):
            seconds.append(timeout)
            time.sleep(0.05)
            raise StatusError("INTERNAL", "enough")

        def metadata(timeout):
            seconds.append(timeout)
            time.sleep(0.05)
            return {"score": {"outputs": {}}}

        monkeypatch.setattr(transport, "_ask", ask)
        monkeypatch.setattr(transport, "metadata", metadata)
        with pytest.raises(StatusError, match="enough"):
            transport.predict("score", {}, 10.0)
        assert seconds[0] == 10.0 and 9.0 < seconds[1] <= 9.95

    def test_no_time_is_left(self):
        with pytest.raises(requests.Timeout):
            rest_transport._within(0.0, lambda: pytest.fail("called"))

    def test_what_a_call_raises_comes_out(self):
        with pytest.raises(ZeroDivisionError):
            rest_transport._within(1.0, lambda: 1 / 0)
        assert rest_transport._within(1.0, lambda: 7) == 7


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate file, key file) of localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate, is not on the PATH")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)  # fmt: skip
    return files


def test_messages_above_grpcs_own_limit_of_4_megabytes():
    with grpc_server(Flaky("UNAVAILABLE", 0)) as address, Client(address) as client:
        assert client.score_tokens([np.zeros(2_000_000)])[0].shape == (2_000_000,)


class TestTLS:
    def test_grpc(self, certificate):
        pair = (certificate[1].read_bytes(), certificate[0].read_bytes())
        credentials = grpc.ssl_server_credentials([pair])
        with grpc_server(Flaky("UNAVAILABLE", 0), credentials) as address:
            with Client(f"grpcs://{address}", certificate=str(certificate[0])) as client:
                assert client.score_tokens([[1]])[0].tolist() == [1.0]
            with Client(f"grpcs://{address}", deadline=1.0) as client:  # nobody vouches for it
                with pytest.raises(StatusError):
                    client.score_tokens([[1]])

    def test_rest(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        with http_server([STATUS], context) as (address, _):
            with Client(address, certificate=str(certificate[0])) as client:
                assert client.status() == {3: "LOADING"}
            with Client(address) as client:
                with pytest.raises(StatusError, match="^UNAUTHENTICATED: .*certificate"):
                    client.status()
