"""Tests of splitting a batch over one replica and over two."""

import json
import pathlib
import subprocess
import sys

import tensorflow as tf

from awd_keras.ops import replicas

ROOT = pathlib.Path(__file__).absolute().parents[2]


def test_one_replica_has_the_whole_batch():
    batch = tf.reshape(tf.range(6), (3, 2))
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        assert replicas.num_replicas() == 1
    assert replicas.replica_rows(batch) is batch
    assert replicas.all_rows(batch) is batch
    assert replicas.mean_over_replicas([batch])[0] is batch


def test_two_replicas_train_as_one_device():
    process = subprocess.run(
        [sys.executable, "-m", "tests.ops.two_replicas"], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["replicas"] == 2
    assert all(difference < 1e-5 for difference in result["differences"].values()), result
