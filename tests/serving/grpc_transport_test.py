"""Tests of the client by gRPC, with servers of our own."""

import grpc
import numpy as np
import pytest

from serving.client import Client, StatusError
from tests.serving.stand_in_servers import Flaky, grpc_server


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
