"""What processes that train together must agree on."""

import contextlib
import io
import pathlib
import tarfile
import tempfile

import numpy as np
import tensorflow as tf

# What a run is continued from.
_RUN_FILES = (
    "config.json",
    "vocabulary.txt",
    "metrics.csv",
    "results.json",
    "checkpoints/last/checkpoint.npz",
    "checkpoints/best/checkpoint.npz",
    "checkpoints/best/on_record.npz",
)
# Int64 numbers that are sent at once. (GPUs do not add up int32.)
_CHUNK = 2**21


class Workers:
    """The processes of a strategy; with one process everything is as it was given.

    All workers run the same program on the same numbers, each with a run folder of its own: the
    chief's is the run, the others' are temporary. So nothing has to be sent but what a process sees
    by itself: its signals, its clock, its files.

    Args:
        strategy: the `tf.distribute.Strategy`, made in every process.

    Example:

    >>> Workers(tf.distribute.get_strategy()).any(True)
    True
    """

    def __init__(self, strategy):
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict() if resolver is not None else {}
        self.num_workers = sum(len(tasks) for tasks in cluster.values()) or 1
        self.index = 0
        if self.num_workers > 1:
            first = len(cluster.get("chief", ())) if resolver.task_type == "worker" else 0
            self.index = first + resolver.task_id
        self._strategy = strategy
        self._sum = tf.function(self._sum_of_first_replicas)

    @property
    def is_chief(self):
        """Whether this process writes the run folder."""
        return self.index == 0

    def any(self, flag):
        """Whether a flag is set on any worker (bool). All must call it at the same step."""
        if self.num_workers == 1:
            return bool(flag)
        return bool(self._sum(tf.constant(int(flag), tf.int64)) > 0)

    def of_chief(self, value):
        """The chief's value of a float, of which others may differ in the last bits."""
        if self.num_workers == 1:
            return value
        return float(self._sum(tf.constant(value if self.is_chief else 0.0, tf.float64)))

    def bytes_of_chief(self, data):
        """The chief's bytes.

        Args:
            data: bytes; of workers that are not the chief anything.
        """
        if self.num_workers == 1:
            return data
        data = data if self.is_chief else b""
        size = int(self._sum(tf.constant(len(data), tf.int64)))
        numbers = np.zeros(-(-size // 8), np.int64)
        if self.is_chief:
            numbers = np.frombuffer(data.ljust(8 * len(numbers), b"\0"), np.int64)
        chunks = [
            self._sum(tf.constant(numbers[start : start + _CHUNK])).numpy()
            for start in range(0, len(numbers), _CHUNK)
        ]
        return b"".join(chunk.tobytes() for chunk in chunks)[:size]

    def _sum_of_first_replicas(self, value):
        """The sum over workers, each counted once however many replicas it has."""
        local = self._strategy.num_replicas_in_sync // self.num_workers

        def add_up(value):
            context = tf.distribute.get_replica_context()
            is_first = tf.convert_to_tensor(context.replica_id_in_sync_group) % local == 0
            counted = tf.where(is_first, value, tf.zeros_like(value))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, counted)

        result = self._strategy.run(add_up, (value,))
        return self._strategy.experimental_local_results(result)[0]

    @contextlib.contextmanager
    def run_folder(self, path):
        """The folder in which this worker runs; the others' begin as a copy of the chief's.

        Args:
            path: the run folder, which only the chief reads and writes.

        Yields:
            the path of this worker's folder.
        """
        if self.num_workers == 1:
            yield path
            return
        packed = self.bytes_of_chief(_pack(path) if self.is_chief else b"")
        if self.is_chief:
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="awd_keras_worker_") as copy:
            _unpack(packed, copy)
            yield copy


def _pack(path):
    """The files of a run as bytes."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", dereference=True) as archive:
        for name in _RUN_FILES:
            file = pathlib.Path(path) / name
            if file.is_file():
                archive.add(file, name)
    return data.getvalue()


def _unpack(data, path):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for name in set(_RUN_FILES) & set(archive.getnames()):
            file = pathlib.Path(path) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(archive.extractfile(name).read())
