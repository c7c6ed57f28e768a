"""A process that runs one implementation on request.

It reads one JSON request per line and answers with one JSON object per line. The processes of all
implementations run side by side and take turns, so that other load on the machine affects them
equally.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks.workload import Workload

ROOT = pathlib.Path(__file__).absolute().parents[1]


class Worker:
    """Starts a worker process and sends it requests.

    A failure is stored in `problem` instead of being raised, so that one missing framework does
    not stop the comparison of the others.

    Args:
        name: module name in `benchmarks/implementations`.
        workload: a `Workload`.
        python: Python interpreter that has the framework installed.
        root: repository to run; another checkout serves as a baseline.
        label: name in the tables; defaults to `name`.

    Attributes:
        framework: name and version of the framework.
        problem: None, or the last line of the process's error output.
    """

    def __init__(self, name, workload, python=sys.executable, root=ROOT, label=None):
        self.name, self.dtype = label or name, workload.dtype
        self.framework, self.problem, self._process = "", None, None
        # A file, because a pipe that is not read would block the process when full.
        self._log = tempfile.TemporaryFile("w+")
        try:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", name, json.dumps(vars(workload))],
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
            )
        except OSError as error:
            self.problem = str(error)
        else:
            self.framework = (self._answer() or {}).get("framework", "")

    def ask(self, task, **arguments):
        """Runs a task in the process.

        Args:
            task: name of a method of the implementation.
            **arguments: `repeat`, the number of timed calls, and `warm_up`, the number of calls
                before them.

        Returns:
            A dict with `seconds` per call and `result`, what the last call returned; None if there
            is a problem.
        """
        if self.problem is not None:
            return None
        try:
            self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended; _answer reports why
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._log.seek(0)
        self.problem = (self._log.read().strip().splitlines() or ["no message"])[-1]
        return None

    def close(self):
        if self._process is not None:
            self._process.communicate()
        self._log.close()


def serve(name, workload):
    """Answers requests until the input ends."""
    module = importlib.import_module(f"benchmarks.implementations.{name}")
    implementation = module.Implementation(workload)
    answer({"framework": implementation.framework})
    index = 0
    for line in sys.stdin:
        request = json.loads(line)
        method = getattr(implementation, request["task"])
        for turn in range(-request.get("warm_up", 0), request["repeat"]):
            if turn == 0:
                start = time.perf_counter()
            result = method(index)
            index += 1
        seconds = (time.perf_counter() - start) / request["repeat"]
        answer({"seconds": seconds, "result": result})


def answer(content):
    print(json.dumps(content), flush=True)


def main():
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in the commands of trainers
    name, workload = sys.argv[1:]
    serve(name, Workload(**json.loads(workload)))


if __name__ == "__main__":
    main()
