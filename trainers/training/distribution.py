"""Training on several devices with the strategies of `tf.distribute`."""

import json
import os

import tensorflow as tf

from trainers.training.records import check_form, reading


def make_strategy(name):
    """Creates the `tf.distribute.Strategy` for a value of `--strategy`.

    Without a GPU, `"mirrored"` uses all logical CPU devices. `"multi_worker"` waits for all workers
    and must come before any other operation.
    """
    if name == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        what = "The environment variable TF_CONFIG, which --strategy=multi_worker needs,"
        advice = (
            'Set it to {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": '
            '"worker", "index": 0}}, for example.'
        )
        with reading(what, advice):
            config = json.loads(os.environ.get("TF_CONFIG") or "null")
            check_form(config, {"cluster": dict, "task": {"type": str, "index": int}})
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


def device_label():
    """Returns the kind of the devices of the current strategy: `"CPU"`, `"GPU"` or `"2 GPUs"`."""
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return kind if num_replicas == 1 else f"{num_replicas} {kind}s"


class Workers:
    """The processes of a strategy, all of which run the same program.

    They share the run folder, which only the chief writes, and exchange only signals received by
    one of them and the chief's validation losses.
    """

    def __init__(self, strategy):
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict() if resolver is not None else {}
        self.num_workers = sum(len(tasks) for tasks in cluster.values()) or 1
        self.is_chief = self.num_workers == 1 or (
            resolver.task_id == 0 and resolver.task_type == min(cluster)  # "chief" or "worker"
        )
        self._strategy = strategy

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
        num_local_replicas = self._strategy.num_replicas_in_sync // self.num_workers

        def once(context):
            is_first = context.replica_id_in_sync_group % num_local_replicas == 0
            return tf.constant(float(value) if is_first else 0.0, tf.float64)

        values = self._strategy.experimental_distribute_values_from_function(once)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
