import numpy as np
import pytest
import tensorflow as tf

from awd_keras.ops.quantization import dequantize, quantize
from serving.matrix import DenseMatrix, QuantizedMatrix, RowTable
from tests.test_case import assert_close, assert_equal

# One block and less; a block and a few columns; more columns than blocks can be even with.
SHAPES = [(3, 5), (300, 1000), (513, 1540), (7, 90_001)]


def make_values(shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def make_x(rows, inputs):
    return np.random.default_rng(1).normal(size=(rows, inputs)).astype("float32")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [0, 1, 3])
class TestProduct:
    def test_float32(self, shape, rows):
        values, x = make_values(shape), make_x(rows, shape[0])
        product = DenseMatrix(values, "float32").product(tf.constant(x))
        assert product.shape == (rows, shape[1])
        if rows:
            assert_close(product, x.astype("float64") @ values, 1e-5)

    def test_bfloat16(self, shape, rows):
        values, x = make_values(shape), make_x(rows, shape[0])
        product = DenseMatrix(values, "bfloat16").product(tf.constant(x))
        assert product.dtype == tf.float32 and product.shape == (rows, shape[1])
        if rows:
            assert_close(product, x @ values, 0.02)

    @pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)])
    def test_int8_is_the_product_of_the_rounded_matrix(self, shape, rows, dtype, tolerance):
        values, x = make_values(shape), make_x(rows, shape[0])
        product = QuantizedMatrix(values, dtype).product(tf.constant(x))
        assert product.dtype == tf.float32 and product.shape == (rows, shape[1])
        if rows:
            rounded = dequantize(*quantize(values, axis=1), axis=1)
            assert_close(product, x.astype("float64") @ rounded, tolerance)
            assert_close(product, x @ values, 0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)])
@pytest.mark.parametrize("kind", [DenseMatrix, QuantizedMatrix])
def test_the_product_of_a_loop(shape, dtype, tolerance, kind):
    matrix, x = kind(make_values(shape), dtype), tf.constant(make_x(3, shape[0]))
    product = matrix.product_of_a_loop()(x)
    assert product.dtype == tf.float32 and product.shape == (3, shape[1])
    assert_close(product, matrix.product(x), tolerance)


@pytest.mark.parametrize("shape", SHAPES)
class TestLookup:
    def test_columns(self, shape):
        values = make_values(shape)
        ids = np.array([0, shape[1] - 1, shape[1] // 2, 0])
        found = DenseMatrix(values, "float32").lookup(tf.constant(ids, tf.int32))
        assert_equal(found, values[:, ids].T)
        found = QuantizedMatrix(values, "float32").lookup(tf.constant(ids, tf.int32))
        assert_equal(found, dequantize(*quantize(values, axis=1), axis=1)[:, ids].T)

    def test_rows(self, shape):
        values = make_values(shape).T
        ids = np.array([0, shape[1] - 1, shape[1] // 2, 0])
        found = RowTable(values, "float32", False).lookup(tf.constant(ids, tf.int32))
        assert_equal(found, values[ids])
        found = RowTable(values, "float32", True).lookup(tf.constant(ids, tf.int32))
        assert_equal(found, dequantize(*quantize(values, axis=0), axis=0)[ids])

    def test_no_ids(self, shape):
        none = tf.zeros((0,), tf.int32)
        for matrix in (DenseMatrix, QuantizedMatrix):
            found = matrix(make_values(shape), "bfloat16").lookup(none)
            assert found.shape == (0, shape[0]) and found.dtype == tf.float32


def test_8_bits_are_stored_in_a_byte():
    matrix = QuantizedMatrix(make_values((1150, 4600)), "float32")
    num_bytes = sum(v.dtype.size * int(np.prod(v.shape)) for v in matrix.variables)
    assert 1150 * 4600 < num_bytes < 1.01 * 1150 * 4600
