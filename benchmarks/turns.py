"""Several implementations, all alive at once, that take turns: what the machine does meets all."""

import contextlib
import itertools
import time

from benchmarks.worker import Worker

# PyTorch's threads keep spinning for a moment after a product; the next process waits for that.
PAUSE_SECONDS = 0.3


class Turns(contextlib.ExitStack):
    """A process for each implementation and dtype; leaving the `with` block ends them.

    Args:
        names: names of files in `benchmarks/implementations`.
        workloads: list of `Workload`: one for each dtype.
        pythons: dict from a name to the interpreter that runs it.

    Attributes:
        rows: list of dicts with name and dtype, and framework or problem: why an implementation
            did not start, or no longer answers. Nothing that was asked for is left out.
    """

    def __init__(self, names, workloads, pythons):
        super().__init__()
        self.rows, self._workers = [], []
        for workload, name in itertools.product(workloads, names):
            row = {"name": name, "dtype": workload.dtype}
            self.rows.append(row)
            try:
                worker = Worker(name, workload, pythons[name])
            except (RuntimeError, OSError) as error:
                row["problem"] = str(error)
            else:
                self.callback(worker.close)
                row["framework"] = worker.started["framework"]
                self._workers.append((row, worker))

    def ask(self, task, first=0, pause=True, **arguments):
        """Asks all that still answer, one after the other.

        Args:
            task: a task of `benchmarks.worker.serve`.
            first: number of who goes first; it should change from round to round.
            pause: whether to wait for silence before each; needed for what is timed.
            **arguments: of the task.

        Yields:
            `(row, answer)`.
        """
        start = first % max(len(self._workers), 1)
        for row, worker in self._workers[start:] + self._workers[:start]:
            if "problem" in row:
                continue
            time.sleep(PAUSE_SECONDS if pause else 0)
            try:
                answer = worker.ask(task, **arguments)
            except (RuntimeError, OSError) as error:
                row["problem"] = str(error)
            else:
                yield row, answer
