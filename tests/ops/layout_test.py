"""Tests of the order of axes."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.ops.layout import transposed_ids
from tests.test_case import assert_equal

IDS = np.arange(12, dtype="int32").reshape(3, 4)


@pytest.mark.parametrize("make", [lambda function: function, tf.function])
def test_turns_ids(make):
    turned = make(transposed_ids)(tf.constant(IDS))
    assert_equal(turned, IDS.T)
    assert_equal(transposed_ids(turned), IDS)


def test_other_axes_stay():
    ids = tf.reshape(tf.range(24), (2, 3, 4))
    assert_equal(transposed_ids(ids), tf.transpose(ids, (1, 0, 2)))


def test_keeps_unknown_sizes():
    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)])
    def turn(ids):
        return transposed_ids(ids)

    for length in (1, 4):
        assert_equal(turn(IDS[:, :length]), IDS[:, :length].T)
