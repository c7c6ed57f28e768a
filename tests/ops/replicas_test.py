"""Tests of the split of a batch, where there is one replica and where there are two."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from awd_keras.ops import replicas

ROOT = pathlib.Path(__file__).absolute().parents[2]
NO_MASKS = dict.fromkeys(
    ("input_dropout", "hidden_dropout", "output_dropout", "embedding_dropout", "weight_dropout"),
    0.0,
)
SGD = {"optimizer": "sgd", "learning_rate": 1.0}
ADAM = {"optimizer": "adam", "learning_rate": 1e-3, "tie_weights": False}


def compare(settings):
    result = subprocess.run(
        [sys.executable, "-m", "tests.trainers.training.two_replicas", json.dumps(settings)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


class TestOneReplica:
    def test_everything_is_as_it_was(self):
        batch = tf.reshape(tf.range(6), (3, 2))
        assert replicas.num_replicas() == 1
        assert replicas.replica_rows(batch) is batch
        assert replicas.all_rows(batch) is batch
        assert replicas.mean_over_replicas([batch])[0] is batch

    def test_a_scope_of_several_is_no_replica(self):
        strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
        with strategy.scope():
            assert replicas.num_replicas() == 1


class TestTwoReplicas:
    @pytest.mark.parametrize(
        "settings", [{**SGD, **NO_MASKS}, SGD, ADAM], ids=["without masks", "sgd", "adam, untied"]
    )
    def test_train_as_one_device_with_the_whole_batch(self, settings):
        result = compare(settings)
        assert result["replicas"] == 2
        for name in ("loss", "norm", "weights", "averages", "states"):
            assert result[name] < 1e-5, (name, result)
        assert result["locked masks differ"]
        assert result["locked masks as on one device"]
        assert result["weight masks equal"]
