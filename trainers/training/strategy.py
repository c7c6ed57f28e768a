"""Which machines and GPUs train: the strategies of tf.distribute, by name."""

import json
import os

import tensorflow as tf

from trainers.errors import UserError

STRATEGIES = ("one", "mirrored", "multi_worker")

_EXAMPLE = (
    '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
)


def make_strategy(name):
    """Makes a strategy. "multi_worker" must be made before TensorFlow does anything else.

    Args:
        name: "one" for one device; "mirrored" for all GPUs of this machine (without any: all its
            logical CPU devices); "multi_worker" for the machines in the environment variable
            TF_CONFIG, all GPUs of each. It waits until all are there.

    Returns:
        a `tf.distribute.Strategy`.

    Raises:
        UserError: for another name, or if TF_CONFIG is missing or names no workers.

    Example:

    >>> make_strategy("one").num_replicas_in_sync
    1
    """
    if name == "one":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        devices = None if has_gpu else [d.name for d in tf.config.list_logical_devices("CPU")]
        return tf.distribute.MirroredStrategy(devices)
    if name == "multi_worker":
        check_cluster(os.environ.get("TF_CONFIG"))
        implementation = tf.distribute.experimental.CommunicationImplementation
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        return tf.distribute.MultiWorkerMirroredStrategy(
            communication_options=tf.distribute.experimental.CommunicationOptions(
                implementation=implementation.NCCL if has_gpu else implementation.RING
            )
        )
    raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}. Received: {name!r}")


def check_cluster(text):
    """Raises `UserError` unless a text is a `TF_CONFIG` that names workers and this one."""
    expected = f"multi_worker reads the environment variable TF_CONFIG, such as {_EXAMPLE}."
    if not text:
        raise UserError(f"{expected} Received: nothing")
    try:
        content = json.loads(text)
        cluster, task = content["cluster"], content["task"]
        cluster[task["type"]][int(task["index"])].rpartition(":")[2].encode()
        known = set(cluster) <= {"chief", "worker"}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        known = False
    if not known:
        raise UserError(f"{expected} Received: {text}")
