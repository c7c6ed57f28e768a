"""One implementation in a process of its own, which steps when it is told to.

The process reads one JSON object a line, and answers with one. All implementations are alive at
once and take their steps in turn, so that whatever the machine does meets them all.
"""

import argparse
import contextlib
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks.workload import Workload

ROOT = pathlib.Path(__file__).absolute().parents[1]


def memory(field):
    """A line of /proc/self/status in MiB: VmRSS is what is held now, VmHWM the most so far."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"Expected a line {field} in /proc/self/status.")


class Worker:
    """The other end: starts a process and asks it.

    Args:
        name: name of a file in `benchmarks/implementations`.
        workload: a `Workload`.
        python: interpreter that has the framework.

    Raises:
        RuntimeError: if the process ends where an answer is expected; with its last words.
    """

    def __init__(self, name, workload, python=sys.executable):
        settings = json.dumps(vars(workload))
        # A file, since nobody reads a pipe while the process works, and a full one would stop it.
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", name, settings],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.started = self._answer()

    def ask(self, task, **arguments):
        """Runs a task in the process and returns its answer.

        Args:
            task: "memory", "product" or a method of the implementation.
            **arguments: of the task: `size` of a product; `repeat`, how often to call a method,
                `warm_up`, how often before that without taking the time, and `arguments`, a dict of
                what to give it besides the number of the call.

        Returns:
            a dict: for "memory" peak, in MiB, of the GPU if there is one; else seconds, of one
            call, and a method's last result.
        """
        self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            words = self._log.read().strip().splitlines() or ["no message"]
            raise RuntimeError(words[-1])
        return json.loads(line)

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # it may have ended with a question unread
            self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        self._log.close()


def serve(name, workload):
    """Answers until the input ends."""
    module = importlib.import_module(f"benchmarks.implementations.{name}")
    held_before = memory("VmRSS")
    implementation = module.Implementation(workload)
    answer({"framework": implementation.framework})
    index = 0
    for line in sys.stdin:
        request = json.loads(line)
        if request["task"] == "memory":
            on_device = implementation.device_peak()
            answer({"peak": on_device or memory("VmHWM") - held_before})
        elif request["task"] == "product":
            answer({"seconds": implementation.product_seconds(request["size"])})
        else:
            method = getattr(implementation, request["task"])
            for turn in range(-request.get("warm_up", 0), request["repeat"]):
                if turn == 0:
                    start = time.perf_counter()
                result = method(index, **request.get("arguments", {}))
                index += 1
            seconds = (time.perf_counter() - start) / request["repeat"]
            answer({"seconds": seconds, "result": result})


def answer(content):
    print(json.dumps(content), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("workload", type=json.loads)
    arguments = parser.parse_args()
    serve(arguments.name, Workload(**arguments.workload))


if __name__ == "__main__":
    main()
