"""Tests of load on the exported model: clients are served, and what they see is counted."""

import pytest

from benchmarks import serving
from benchmarks.implementations.exported import export
from benchmarks.workload import Workload

TINY = Workload(
    batch_size=2, timesteps=3, vocabulary_size=30, embedding_dim=4, hidden_dim=5, num_layers=2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(TINY, tmp_path_factory.mktemp("export"))


def test_clients_in_one_process(folder):
    clients = serving.InProcess(folder)
    times, failures = serving.load(clients, list(serving.CALLS), TINY, 2, seconds=0.5)
    assert times and not failures


@pytest.mark.slow
def test_a_server_under_load(folder):
    with serving.local_server(folder) as (pid, addresses):
        for address in addresses.values():
            times, failures = serving.load(address, list(serving.CALLS), TINY, 2, seconds=0.5)
            assert times and not failures
        assert serving.resident_bytes(pid) > 2**20
