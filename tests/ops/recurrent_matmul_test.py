"""Tests of the forms of recurrent matmuls."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from awd_keras import ops
from awd_keras.ops import recurrent_matmul
from awd_keras.ops.recurrent_matmul import FORMS, Forms
from tests.ops.lstm_portable_test import gradients_of, make_arguments
from tests.test_case import assert_all_close, assert_close


@pytest.mark.parametrize("form, transpose", list(itertools.product(FORMS, [False, True])))
def test_forms_are_equal(form, transpose):
    matrix = np.random.default_rng(0).normal(size=(5, 7))
    x = np.random.default_rng(1).normal(size=(3, 7 if transpose else 5))
    multiply = recurrent_matmul.matmul_by(tf.constant(matrix), transpose, form)
    assert_close(multiply(tf.constant(x)), x @ (matrix.T if transpose else matrix), 1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_lstm(form):
    arguments = make_arguments()
    expected = gradients_of(ops.lstm, arguments)

    def lstm(*arguments):
        return ops.lstm(*arguments, implementation=f"portable/{form}/{form}")

    assert_all_close(gradients_of(lstm, arguments), expected, 1e-10)


def test_measurement(monkeypatch):
    monkeypatch.setattr(recurrent_matmul, "_MEASURED_SECONDS", 0)
    measured = recurrent_matmul.fastest_forms(units=8, batch_size=2, dtype="float32")
    assert set(measured) <= set(FORMS)
    gains = {"direct": 1.0, "transposed": 1.1, "swapped": 1.3, "swapped_transposed": 1.2}
    monkeypatch.setattr(recurrent_matmul, "_median_gains", lambda *_: gains)
    assert recurrent_matmul.fastest_forms(8, 2, "float32") == Forms("swapped", "swapped")
    gains["swapped"] = gains["swapped_transposed"] = 1.1  # within noise
    assert recurrent_matmul.fastest_forms(8, 2, "float32") == Forms("direct", "direct")


def test_the_measurement_excludes_the_copy_of_the_matrix():
    x = tf.ones((2, 8))
    loop = recurrent_matmul._product_loop(tf.ones((8, 32)), False, "transposed")
    operations = loop.get_concrete_function(x).graph.get_operations()
    assert "Transpose" not in {operation.type for operation in operations}
