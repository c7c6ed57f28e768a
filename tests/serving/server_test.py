"""Tests of the two interfaces and their limits, on ports of this machine, without a model."""

import concurrent.futures
import contextlib
import signal
import socket
import threading

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.server import Server
from serving.status import StatusError
from tests.serving.stand_in_servable import StandInServable

# No test waits so long: where something hangs, it fails.
PATIENCE = 30.0


def make_server(servable, **options):
    return Server(servable, **{"grpc_port": 0, "rest_port": 0, **options})


def ask(server, questions):
    """Runs the server until `questions(stub)` has returned, beside it; then Ctrl-C comes."""
    main_thread, ended = threading.get_ident(), threading.Event()

    def work():
        try:
            assert requests.get(f"{server.rest_address}/v1/models/lm", timeout=PATIENCE).ok
            with grpc.insecure_channel(server.grpc_address) as channel:
                return questions(prediction_service_pb2_grpc.PredictionServiceStub(channel))
        finally:
            if not ended.is_set():
                signal.pthread_kill(main_thread, signal.SIGINT)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        found = pool.submit(work)
        try:
            server.run()
        finally:
            ended.set()
            server.stop()
    return found.result()


def predict_request(text="a"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "lm"
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([text]))
    return request


def refused(call, request, **options):
    """The status of a call that fails: its code and what it says."""
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=PATIENCE, **options)
    return error.value.code().name, error.value.details()


def test_both_interfaces_answer_until_ctrl_c():
    servable = StandInServable()
    server = make_server(servable)
    spec = {"model_spec": {"name": "lm"}}

    def questions(stub):
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=["signature_def"], **spec
        )
        metadata = stub.GetModelMetadata(request, timeout=PATIENCE)
        with grpc.insecure_channel(server.grpc_address) as channel:
            status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(
                get_model_status_pb2.GetModelStatusRequest(**spec), timeout=PATIENCE
            )
        found = stub.Predict(predict_request("by gRPC"), timeout=PATIENCE)
        body = {"inputs": {"text": ["by REST"]}}
        url = f"{server.rest_address}/v1/models/lm:predict"
        answer = requests.post(url, json=body, timeout=PATIENCE)
        return metadata, status, found, answer

    metadata, status, found, answer = ask(server, questions)
    assert metadata.model_spec.version.value == status.model_version_status[0].version == 3
    assert tf.make_ndarray(found.outputs["loss"]).tolist() == [0.5, 2.0]
    assert answer.json() == {"outputs": [0.5, 2.0]}
    assert answer.headers["Server"] == "serving.local"
    asked = [inputs["text"].tolist() for _, inputs, _, _ in servable.calls]
    assert asked == [[b"by gRPC"], [b"by REST"]]


def connect(address):
    host, _, port = address.removeprefix("http://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def test_it_listens_from_its_construction_until_it_is_stopped():
    server = make_server(StandInServable())
    addresses = server.grpc_address, server.rest_address
    assert addresses[0].startswith("127.0.0.1:") and addresses[1].startswith("http://127.0.0.1:")
    for address in addresses:
        connect(address)
    ask(server, lambda stub: None)
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            connect(address)


def test_the_address_of_a_server_by_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = make_server(StandInServable(), host="::1")
    assert server.grpc_address.startswith("[::1]:")
    assert server.rest_address.startswith("http://[::1]:")
    code, _ = ask(server, lambda stub: refused(stub.Predict, predict_pb2.PredictRequest()))
    assert code == "INVALID_ARGUMENT"


def test_a_name_of_several_addresses(monkeypatch):
    getaddrinfo = socket.getaddrinfo

    def both(host, *arguments, **options):
        if host != "localhost":
            return getaddrinfo(host, *arguments, **options)
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET6, *kind, ("::1", 0, 0, 0)),
            (socket.AF_INET, *kind, ("127.0.0.1", 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    server = make_server(StandInServable(), host="localhost")
    assert server.grpc_address.startswith("127.0.0.1:")
    assert server.rest_address.startswith("http://127.0.0.1:")
    ask(server, lambda stub: stub.Predict(predict_request(), timeout=PATIENCE))


class TestFailures:
    def test_what_a_request_fails_with_is_its_status(self):
        servable = StandInServable(StatusError("FAILED_PRECONDITION", "no such signature"))
        code, said = ask(
            make_server(servable), lambda stub: refused(stub.Predict, predict_request())
        )
        assert (code, said) == ("FAILED_PRECONDITION", "no such signature")

    def test_a_fault_of_the_server_is_told_without_its_inside(self, capsys):
        servable = StandInServable(ZeroDivisionError("a secret"))
        code, said = ask(
            make_server(servable), lambda stub: refused(stub.Predict, predict_request())
        )
        assert (code, said) == ("INTERNAL", "ZeroDivisionError in the server")
        assert "a secret" in capsys.readouterr().err  # for who runs it


class TestLimits:
    def test_time_is_the_servers_or_what_the_client_has_left(self):
        servable = StandInServable()
        server = make_server(servable, timeout=7.5)

        def questions(stub):
            for timeout in (None, 1000.0, 5.0):
                stub.Predict(predict_request(), timeout=timeout)
            url = f"{server.rest_address}/v1/models/lm:predict"
            requests.post(url, json={"instances": ["a"]}, timeout=PATIENCE)

        ask(server, questions)
        no_deadline, long, short, rest = [timeout for _, _, _, timeout in servable.calls]
        assert no_deadline == long == rest == 7.5
        assert 0 < short < 6.0

    def test_the_size_of_a_request(self):
        servable = StandInServable()
        server = make_server(servable, max_request_bytes=1000)

        def questions(stub):
            codes = [refused(stub.Predict, predict_request("a" * 1000))[0]]
            # A few bytes that stand for many.
            request = predict_request()
            request.inputs["text"].tensor_shape.dim[0].size = 1001
            codes.append(refused(stub.Predict, request)[0])
            stub.Predict(predict_request("a" * 900), timeout=PATIENCE)
            url = f"{server.rest_address}/v1/models/lm:predict"
            for size in (1000, 900):
                body = {"instances": ["a" * size]}
                codes.append(requests.post(url, json=body, timeout=PATIENCE).status_code)
            return codes

        assert ask(server, questions) == ["RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", 413, 200]
        assert [len(inputs["text"][0]) for _, inputs, _, _ in servable.calls] == [900, 900]

    def test_one_connection_at_once(self):
        servable = StandInServable()
        server = make_server(servable, max_requests=1)
        url = f"{server.rest_address}/v1/models/lm:predict"
        body = {"instances": ["a"]}
        assert ask(server, lambda stub: requests.post(url, json=body, timeout=PATIENCE)).ok

    def test_the_number_of_requests_at_once(self):
        begun, may_end = threading.Event(), threading.Event()

        class Slow(StandInServable):
            def predict(self, *arguments, **options):
                begun.set()
                assert may_end.wait(PATIENCE)
                return super().predict(*arguments, **options)

        def questions(stub):
            try:
                first = stub.Predict.future(predict_request(), timeout=PATIENCE)
                assert begun.wait(PATIENCE)
                others = [stub.Predict.future(predict_request(), timeout=PATIENCE) for _ in "ab"]
                # The others wait for a thread; there is room for three in all.
                beyond = refused(stub.Predict, predict_request())[0]
            finally:
                may_end.set()
            return beyond, [call.result() for call in (first, *others)]

        servable = Slow()
        server = make_server(servable, threads=1, max_requests=3)
        beyond, answered = ask(server, questions)
        assert beyond == "RESOURCE_EXHAUSTED"
        assert len(answered) == len(servable.calls) == 3


class TestPorts:
    @pytest.fixture
    def taken(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            yield other.getsockname()[1]

    @pytest.mark.parametrize("option, what", [("grpc_port", "gRPC"), ("rest_port", "REST")])
    def test_a_port_in_use(self, taken, option, what):
        said = f"^{what} cannot listen on 127.0.0.1:{taken}: .*in use"
        with pytest.raises(OSError, match=said):
            make_server(StandInServable(), **{option: taken})

    def test_two_servers_do_not_share_a_port(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        server = make_server(StandInServable(), grpc_port=port)
        try:
            assert server.grpc_address == f"127.0.0.1:{port}"
            with pytest.raises(OSError, match=f"gRPC cannot listen on 127.0.0.1:{port}"):
                make_server(StandInServable(), grpc_port=port)
        finally:
            server.stop()

    def test_what_grpc_alone_finds_out_leaves_the_other_port_free(self, taken, monkeypatch):
        # Another may take the port between the look and the listening.
        monkeypatch.setattr("serving.server._check_free", lambda host, port: None)
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        said = f"gRPC cannot listen on 127.0.0.1:{taken}: is it in use?"
        with pytest.raises(OSError, match=said):
            make_server(StandInServable(), grpc_port=taken, rest_port=port)
        socket.create_server(("127.0.0.1", port)).close()

    @pytest.mark.parametrize("host", ["203.0.113.7", "no host", "a..b"])
    def test_an_address_of_another_machine(self, host):
        with pytest.raises(OSError, match=f"^gRPC cannot listen on {host}:0: "):
            make_server(StandInServable(), host=host)
