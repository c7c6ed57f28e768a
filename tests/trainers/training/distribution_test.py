"""Tests of strategies and workers; two workers train together in trainers/multi_worker_test.py."""

import pytest
import tensorflow as tf

from trainers.errors import UserError
from trainers.training.distribution import Workers, describe_devices, make_strategy


def test_mirrored_has_every_device():
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert make_strategy("mirrored").num_replicas_in_sync == len(devices)


@pytest.mark.parametrize(
    "value", ["", "x", "[]", '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}']
)
def test_multi_worker_needs_a_cluster(monkeypatch, value):
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(UserError, match="variable TF_CONFIG, which .*, cannot be read .* Set it"):
        make_strategy("multi_worker")


def test_the_devices_are_described(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert describe_devices().startswith("CPU (")


def test_a_single_worker_is_the_chief():
    workers = Workers(tf.distribute.get_strategy())
    assert workers.is_chief and workers.num_workers == 1
    assert workers.any(True) and not workers.any(False)
    assert workers.of_chief(0.1) == 0.1
