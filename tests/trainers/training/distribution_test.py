"""Tests of strategies and workers; two workers train together in trainers/multi_worker_test.py."""

import json

import pytest
import tensorflow as tf

from trainers.errors import UserError
from trainers.training.distribution import Workers, make_strategy


def test_mirrored_has_every_device():
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert make_strategy("mirrored").num_replicas_in_sync == len(devices)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        json.dumps({"cluster": {"worker": ["127.0.0.1:1"]}}),
        json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}),
        json.dumps({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}),
        json.dumps({"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}),
    ],
)
def test_an_invalid_cluster_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG, such as .*Received: "):
        make_strategy("multi_worker")


def test_a_single_worker_is_the_chief():
    workers = Workers(tf.distribute.get_strategy())
    assert workers.is_chief and workers.num_workers == 1
    assert workers.any(True) and not workers.any(False)
    assert workers.of_chief(0.1) == 0.1
