"""Calls of the exported model beside PyTorch's: times, a table, and whether the limits hold."""

import contextlib
import dataclasses
import os
import sys
import time

import numpy as np

from benchmarks.worker import Worker

EXPORTED, EAGER, COMPILED = "exported", "torch_served", "torch_served_compiled"
_IN_A_ROW = 10
# PyTorch's threads keep spinning for a moment after a product; the next process waits for that.
_PAUSE_SECONDS = 0.3


def percentiles(seconds):
    """Milliseconds at the median and the 99th percentile.

    >>> percentiles([0.001] * 99 + [0.1])
    (1.0, 1.99)
    """
    p50, p99 = np.percentile(1000 * np.asarray(seconds), [50, 99])
    return round(float(p50), 3), round(float(p99), 3)


def weight_bytes(workload):
    """Bytes of the weights that a step of one row reads, in float32."""
    lstm = sum(4 * units * (features + units + 1) for features, units in workload.layer_sizes)
    return 4 * (lstm + (workload.embedding_dim + 1) * workload.vocabulary_size)


def memory_bandwidth():
    """Bytes per second of a product of a matrix, far larger than all caches, with a vector."""
    matrix, vector = np.ones((2**15, 2**13), np.float32), np.ones(2**13, np.float32)
    best = np.inf
    for _ in range(10):
        start = time.perf_counter()
        matrix @ vector
        best = min(best, time.perf_counter() - start)
    return matrix.nbytes / best


def compare_calls(workload, requests, calls, names, python, exports):
    """Calls implementations in turn.

    Args:
        workload: `Workload`; its batch size is that of the calls.
        requests: calls of each, ten in a row, after two that are not measured.
        calls: names of signatures.
        names: list of (file of an implementation, dtype).
        python: interpreter of the peers.
        exports: dictionary of dtype to folder of an export.

    Returns:
        dictionary of call to list of dicts: name, dtype, framework, seconds; or problem.
    """
    workers, found = [], {call: [] for call in calls}
    with contextlib.ExitStack() as stack:
        for name, dtype in names:
            label = {"name": name, "dtype": dtype}
            try:
                is_ours = name == EXPORTED
                settings = dataclasses.replace(workload, dtype=dtype)
                with _environment(BENCHMARK_EXPORT=str(exports[dtype]) if is_ours else None):
                    worker = Worker(name, settings, sys.executable if is_ours else python)
                stack.callback(worker.close)
                workers.append((worker, {**label, "framework": worker.started["framework"]}))
            except (RuntimeError, OSError) as error:
                for call in calls:
                    found[call].append({**label, "problem": str(error)})
        for call in calls:
            results = [{**label, "seconds": []} for _, label in workers]
            for turn in range(-1, -(-requests // _IN_A_ROW)):
                count = 2 if turn < 0 else min(_IN_A_ROW, requests - turn * _IN_A_ROW)
                for (worker, _), result in zip(workers, results):
                    if "problem" in result:
                        continue
                    time.sleep(_PAUSE_SECONDS)
                    try:
                        seconds = [worker.ask(call, repeat=1)["result"] for _ in range(count)]
                    except (RuntimeError, OSError) as error:
                        result["problem"] = str(error)
                        continue
                    if turn >= 0:
                        result["seconds"] += seconds
            found[call] += results
    return found


@contextlib.contextmanager
def _environment(**values):
    before = {name: os.environ.pop(name, None) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def table(results, tokens, floor=None):
    """The results of a call as Markdown lines.

    Args:
        results: list of dicts of `compare_calls`.
        tokens: words of a call.
        floor: None, or seconds in which the float32 weights are read once.
    """
    header = ["", "dtype", "p50 ms", "p99 ms", "words/s", "times the fastest PyTorch"]
    header += ["times reading the float32 weights"] if floor else []
    lines = [header, ["---"] * 2 + ["---:"] * (len(header) - 2)]
    measured = [r for r in results if "problem" not in r]
    peers = [(r["dtype"], percentiles(r["seconds"])[0]) for r in measured if r["name"] != EXPORTED]
    for result in results:
        name = f"{result['name']} ({result.get('framework', 'not started')})"
        if "problem" in result:
            problem = f"not measured: {result['problem']}"
            lines.append([name, result["dtype"], problem] + [""] * (len(header) - 3))
            continue
        p50, p99 = percentiles(result["seconds"])
        # float32 competes with float32, every smaller form with all.
        rivals = [ms for dtype, ms in peers if result["dtype"] != "float32" or dtype == "float32"]
        ratio = f"{min(rivals) / p50:.2f}" if rivals else "no peer"
        line = [
            name,
            result["dtype"],
            f"{p50:.2f}",
            f"{p99:.2f}",
            f"{1000 * tokens / p50:,.0f}",
            ratio,
        ]
        lines.append(line + ([f"{p50 / 1000 / floor:.2f}"] if floor else []))
    return ["| " + " | ".join(line) + " |" for line in lines]


def verdicts(results, batch_size, call, floor=None):
    """What the results say of the limits that the export is held to.

    Args:
        results: list of dicts of `compare_calls`.
        batch_size: rows of the call.
        call: name of the signature.
        floor: None, or seconds in which the float32 weights are read once.

    Returns:
        list of lines; empty where there is nothing to compare.
    """
    measured = [r for r in results if r.get("seconds")]
    ours = {r["dtype"]: percentiles(r["seconds"]) for r in measured if r["name"] == EXPORTED}
    peers = [
        percentiles(r["seconds"])
        for r in measured
        if r["name"] != EXPORTED and r["dtype"] == "float32"
    ]
    limits = []
    if "float32" in ours and peers:
        fastest = min(peers)
        ratio, least = fastest[0] / ours["float32"][0], 1.5 if batch_size >= 8 else 1.0
        limits.append((f"float32 is {ratio:.2f} times as fast as PyTorch", ratio >= least, least))
        if batch_size >= 8:
            ratio = ours["float32"][1] / fastest[1]
            limits.append((f"its p99 is {ratio:.2f} of PyTorch's", ratio <= 1, "at most 1"))
    if "float32" in ours and batch_size == 1 and call == "step":
        if floor:
            ratio = ours["float32"][0] / 1000 / floor
            limits.append(
                (f"float32 takes {ratio:.2f} of reading its weights", ratio <= 1.3, "at most 1.3")
            )
        smaller = [ms for dtype, (ms, _) in ours.items() if dtype != "float32"]
        if smaller:
            ratio = ours["float32"][0] / min(smaller)
            limits.append(
                (f"the faster smaller form is {ratio:.2f} times as fast", ratio >= 1.5, 1.5)
            )
    return [
        f"{text}: {limit if isinstance(limit, str) else f'at least {limit:g}'} "
        f"{'holds' if holds else 'does not hold'}"
        for text, holds, limit in limits
    ]
