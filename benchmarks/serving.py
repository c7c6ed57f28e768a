"""Speed of the exported model: against PyTorch in the same run, and of a server under load.

  python -m benchmarks.serving --peer_python=/path/to/python-with-torch   # calls, side by side
  python -m benchmarks.serving --part=server                  # clients and serving.local
  python -m benchmarks.serving --part=soak --minutes=3        # memory, failures

`calls`: score, next_word, step and generate of 20 words, in process, all implementations alive at
once and called in turn; milliseconds at the median and the 99th percentile. Sizes are the paper's
for Penn Treebank. A step of one row reads every weight once: the table says how long that takes at
this machine's memory bandwidth. `server`: requests per second and percentiles of concurrent
clients, in one process and by gRPC and REST. `soak`: all calls at full load; the server's memory
over time, and every request that failed.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from benchmarks.report import machine
from benchmarks.serving_calls import (
    COMPILED,
    EAGER,
    EXPORTED,
    compare_calls,
    memory_bandwidth,
    percentiles,
    table,
    verdicts,
    weight_bytes,
)
from benchmarks.workload import Workload

CALLS = ("score", "next_word", "step", "generate")
_WORDS = 20
_ROOT = pathlib.Path(__file__).absolute().parents[1]


@contextlib.contextmanager
def local_server(path):
    """`serving.local` on a version's folder; yields (its process id, gRPC and REST addresses)."""
    command = [
        sys.executable,
        "-m",
        "serving.local",
        f"--model={path}",
        "--port=0",
        "--rest_api_port=0",
        "--threads=16",
    ]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = []
            while not (lines and lines[-1].startswith("REST: ")):
                lines.append(process.stdout.readline())
                if not lines[-1]:
                    raise RuntimeError("serving.local has ended; it says above why.")
            grpc, rest = (line.split()[1] for line in lines[-2:])
            yield process.pid, {"gRPC": grpc, "REST": rest.partition("/v1/")[0]}
        finally:
            process.terminate()


class InProcess:
    """The export in this process, all clients of which share one session.

    Args:
        path: folder of a version.
    """

    def __init__(self, path):
        from serving.servable import Servable

        self._servable = Servable(pathlib.Path(path), "benchmark", 1)
        state = self._servable.signatures["step"].inputs["state"]
        self._state_size = state.tensor_shape.dim[1].size

    def ask(self, call, workload, index):
        """One request of `workload.batch_size` rows."""
        from benchmarks.implementations.exported import inputs_of

        self._servable.predict(call, inputs_of(call, workload, index, self._state_size))


def ask(client, call, workload, index):
    """One request of `workload.batch_size` rows."""
    if isinstance(client, InProcess):
        return client.ask(call, workload, index)
    ids = workload.text(index)[:, 1:]
    texts = [" ".join(f"w{i}" for i in row) for row in ids]
    if call == "score":
        return client.score(texts)
    if call == "next_word":
        return client.next_word(texts, k=5)
    if call == "step":
        return client.step(ids[:, 0])
    return client.generate(
        [text.split()[0] for text in texts],
        max_words=workload.timesteps,
        top_k=20,
        top_p=0.9,
        seed=index,
    )


def load(address, calls, workload, num_clients, seconds):
    """Clients that ask without a pause.

    Args:
        address: of a server, or an `InProcess`.
        calls: names of signatures, which take turns.
        workload: `Workload` of a request.
        num_clients: how many ask at once.
        seconds: for how long.

    Returns:
        `(seconds of each request, messages of those that failed)`.
    """
    from serving.client import Client, StatusError

    end, times, failures = time.perf_counter() + seconds, [], []
    numbers = itertools.count()
    lock = threading.Lock()

    def run(client):
        while time.perf_counter() < end:
            with lock:
                index = next(numbers)
            start = time.perf_counter()
            try:
                ask(client, calls[index % len(calls)], workload, index)
                times.append(time.perf_counter() - start)
            except StatusError as error:
                failures.append(str(error))

    with contextlib.ExitStack() as stack:
        if isinstance(address, InProcess):
            clients = [address] * num_clients
        else:
            clients = [
                stack.enter_context(Client(address, "benchmark", max_attempts=1, deadline=60.0))
                for _ in range(num_clients)
            ]
            for client in clients:
                client.state_size()  # connects, and asks for the metadata
        with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
            for future in [pool.submit(run, client) for client in clients]:
                future.result()
    return times, failures


def resident_bytes(pid):
    """Memory that a process holds (Linux)."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run_calls(arguments, workload, folder):
    from benchmarks.implementations.exported import export

    floor = weight_bytes(workload) / memory_bandwidth()
    exports = {}
    for dtype in arguments.dtype:
        settings = dataclasses.replace(workload, dtype=dtype)
        exports[dtype] = export(settings, pathlib.Path(folder) / dtype)
    names = [(EXPORTED, dtype) for dtype in arguments.dtype]
    names += [
        (name, dtype) for dtype in arguments.dtype if dtype != "int8" for name in (EAGER, COMPILED)
    ]
    kept = []
    for size in arguments.batch_size:
        sized = dataclasses.replace(workload, batch_size=size)
        found = compare_calls(
            sized, arguments.requests, arguments.call, names, arguments.peer_python, exports
        )
        for call, results in found.items():
            print(f"\n{call}, batch {size}\n")
            words = size if call == "step" else sized.tokens
            single = floor if call == "step" and size == 1 else None
            print("\n".join(table(results, words, single)), flush=True)
            for line in verdicts(results, size, call, single):
                print(f"\n{line}.", flush=True)
            kept.append({"call": call, "batch_size": size, "results": results})
    return kept


def run_server(arguments, workload, folder):
    from benchmarks.implementations.exported import export

    path = export(workload, folder)
    kept = []
    with local_server(path) as (_, addresses):
        addresses = {"in process": InProcess(path), **addresses}
        print("\n| call | by | batch | clients | requests/s | p50 ms | p99 ms | failed |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        plans = itertools.product(
            arguments.call, addresses.items(), arguments.batch_size, arguments.clients
        )
        for call, (protocol, address), size, num_clients in plans:
            sized = dataclasses.replace(workload, batch_size=size)
            times, failures = load(address, [call], sized, num_clients, arguments.seconds)
            p50, p99 = percentiles(times) if times else (float("nan"),) * 2
            print(
                f"| {call} | {protocol} | {size} | {num_clients} | "
                f"{len(times) / arguments.seconds:,.1f} | {p50:.1f} | {p99:.1f} | "
                f"{len(failures)} |",
                flush=True,
            )
            kept.append(
                {
                    "call": call,
                    "protocol": protocol,
                    "batch_size": size,
                    "clients": num_clients,
                    "seconds": times,
                    "failures": failures,
                }
            )
    return kept


def run_soak(arguments, workload, folder):
    from benchmarks.implementations.exported import export

    path = export(workload, folder)
    sized = dataclasses.replace(workload, batch_size=max(arguments.batch_size))
    slices = max(1, round(arguments.minutes * 6))
    kept = []
    with local_server(path) as (pid, addresses):
        print("\n| second | requests | failed | server's memory, MiB |")
        print("| ---: | ---: | ---: | ---: |")
        for number in range(1, slices + 1):
            address = list(addresses.values())[number % 2]
            times, failures = load(
                address,
                arguments.call,
                sized,
                max(arguments.clients),
                60 * arguments.minutes / slices,
            )
            held = resident_bytes(pid) / 2**20
            second = 60 * arguments.minutes * number / slices
            print(f"| {second:.0f} | {len(times)} | {len(failures)} | {held:,.0f} |", flush=True)
            kept.append({"requests": len(times), "failures": failures, "memory_mib": held})
    memory = [row["memory_mib"] for row in kept]
    failed = sum(len(row["failures"]) for row in kept)
    half = len(memory) // 2
    print(
        f"\n{sum(row['requests'] for row in kept):,} requests, {failed} failed; memory "
        f"{memory[half]:,.0f} MiB half way, {memory[-1]:,.0f} MiB at the end"
    )
    for message in sorted({m for row in kept for m in row["failures"]})[:5]:
        print(f"failed: {message}")
    return kept


PARTS = {"calls": run_calls, "server": run_server, "soak": run_soak}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", default="calls", choices=list(PARTS), help="what to measure")
    parser.add_argument("--call", nargs="+", default=list(CALLS), choices=CALLS, help="which calls")
    parser.add_argument("--batch_size", type=int, nargs="+", default=[1, 8, 64], help="rows")
    parser.add_argument("--requests", type=int, default=100, help="calls: of each implementation")
    parser.add_argument(
        "--dtype",
        nargs="+",
        default=["float32", "int8"],
        choices=["float32", "bfloat16", "int8"],
        help="calls: of the products; int8: weights in 8 bits",
    )
    parser.add_argument("--peer_python", default=sys.executable, help="interpreter with torch")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8], help="concurrent clients")
    parser.add_argument("--seconds", type=float, default=10.0, help="server: of each row")
    parser.add_argument("--minutes", type=float, default=3.0, help="soak: how long")
    for name in ("vocabulary_size", "embedding_dim", "hidden_dim", "num_layers"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Workload, name), help="size")
    parser.add_argument("--output", help="JSON file for all single times")
    arguments = parser.parse_args()
    workload = Workload(
        batch_size=1,
        timesteps=_WORDS,
        vocabulary_size=arguments.vocabulary_size,
        embedding_dim=arguments.embedding_dim,
        hidden_dim=arguments.hidden_dim,
        num_layers=arguments.num_layers,
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = PARTS[arguments.part](arguments, workload, folder)
    if arguments.output:
        results = {"machine": machine(), "part": arguments.part, "results": kept}
        pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
