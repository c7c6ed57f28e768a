from serving.grpc_client import Client
from serving.server import Server
from tests.trainers.in_process import run_command


def test_the_bundled_model(capfd, monkeypatch):
    suggestions = []

    def query(server):
        with Client(server.grpc_address) as client:
            suggestions.extend(client.next_word(["my fellow", ""], k=2))
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "wait", query)
    ended = run_command(capfd, "serving.local", "--port=0", "--rest_api_port=0")
    assert ended.code == 0
    first, grpc, rest = ended.stdout.splitlines()
    assert first.startswith("model bundled, version 1")
    assert grpc.startswith("gRPC: 127.0.0.1:") and rest.endswith("/v1/models/bundled")
    assert [len(words) for words in suggestions] == [2, 2]
