"""Training on several devices with the strategies of `tf.distribute`."""

import os

import tensorflow as tf

from trainers.errors import UserError


def make_strategy(name):
    """Creates a `tf.distribute.Strategy`.

    Args:
        name: `"one"` for one device; `"mirrored"` for all GPUs of this machine, or all its logical
            CPU devices without a GPU; `"multi_worker"` for the machines in the environment variable
            `TF_CONFIG`, which waits for all workers and must come before any other operation.

    Raises:
        UserError: If `TF_CONFIG` is missing.
    """
    if name == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            raise UserError(
                "--strategy=multi_worker needs the environment variable TF_CONFIG, such as "
                '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", '
                '"index": 0}}.'
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def describe_devices():
    """Returns a short description of the devices of the current strategy."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    else:
        name = f"CPU ({os.cpu_count()} cores)"
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return name if num_replicas == 1 else f"{num_replicas} replicas on {name}"


class Workers:
    """The processes of a strategy, all of which run the same program.

    They share the run folder, which only the chief writes, and exchange only signals received by
    one of them and the chief's validation losses.

    Args:
        strategy: The `tf.distribute.Strategy`.
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
        self._sum = tf.function(self._sum_over_workers)

    @property
    def is_chief(self):
        """Whether this process writes the run folder."""
        return self.index == 0

    def any(self, flag):
        """Returns whether the flag is set on any worker. All must call it at the same step."""
        return bool(self._total(flag) > 0)

    def of_chief(self, value):
        """Returns the chief's value of a float, whatever the others pass."""
        return float(self._total(value if self.is_chief else 0.0))

    def wait(self):
        """Waits for all workers."""
        self.any(False)

    def _total(self, value):
        if self.num_workers == 1:
            return value
        return self._sum(tf.constant(float(value), tf.float64))

    def _sum_over_workers(self, value):
        num_local_replicas = self._strategy.num_replicas_in_sync // self.num_workers

        def add_up(value):
            context = tf.distribute.get_replica_context()
            index = tf.convert_to_tensor(context.replica_id_in_sync_group)
            is_first = index % num_local_replicas == 0
            counted = tf.where(is_first, value, tf.zeros_like(value))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, counted)

        result = self._strategy.run(add_up, (value,))
        return self._strategy.experimental_local_results(result)[0]
