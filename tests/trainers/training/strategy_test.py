"""Tests of the strategies by name."""

import json

import pytest
import tensorflow as tf

from trainers.errors import UserError
from trainers.training.strategy import make_strategy


class TestMakeStrategy:
    def test_one_is_what_there_is_without_a_strategy(self):
        assert make_strategy("one") is tf.distribute.get_strategy()

    def test_mirrored_takes_every_device(self):
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        strategy = make_strategy("mirrored")
        assert isinstance(strategy, tf.distribute.MirroredStrategy)
        assert strategy.num_replicas_in_sync == len(devices)

    def test_an_unknown_name_is_refused(self):
        with pytest.raises(UserError, match="one of one, mirrored, multi_worker.*'two'"):
            make_strategy("two")

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "no JSON",
            "[]",
            json.dumps({"cluster": {"worker": ["127.0.0.1:1"]}}),
            json.dumps({"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}),
            json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}),
            json.dumps({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}),
            json.dumps({"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}),
        ],
    )
    def test_a_cluster_that_cannot_be_read_is_refused(self, text, monkeypatch):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if text is not None:
            monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(UserError, match="TF_CONFIG, such as .*Received: "):
            make_strategy("multi_worker")
