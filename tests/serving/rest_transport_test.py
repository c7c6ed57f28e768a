"""Tests of the client by REST, with servers of our own."""

import http
import ssl
import time

import pytest
import requests

from serving import rest_transport
from serving.client import Client, StatusError
from serving.rest_transport import RestTransport
from tests.serving.stand_in_servers import LOADING, STATUS, http_server, slow_server


class TestUnavailable:
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
            # What Python calls the code differs from version to version.
            ((413, b""), f"RESOURCE_EXHAUSTED: {http.HTTPStatus(413).phrase}"),
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


class TestTLS:
    def test_rest(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        with http_server([STATUS], context) as (address, _):
            with Client(address, certificate=str(certificate[0])) as client:
                assert client.status() == {3: "LOADING"}
            with Client(address) as client:
                with pytest.raises(StatusError, match="^UNAUTHENTICATED: .*certificate"):
                    client.status()
