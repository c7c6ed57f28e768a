"""Matrices of an exported graph: how their entries are stored, and how they are multiplied.

With one row in a batch a product costs what reading its matrix costs. A `DenseMatrix` is read
once, in 4 or 2 bytes an entry. A `QuantizedMatrix` is stored in one byte an entry, in blocks of
columns: a block is widened and multiplied while it is in the cache, so that memory is read once,
in a quarter of the bytes, and blocks run on as many threads as there are. Widening takes as long as
reading float32 where memory is fast, so the steps of a text share it. (TensorFlow's own 8-bit
products on a CPU, `QuantizedMatMul` and `BatchMatMulV3`, took two to three times as long.)

Stored as (inputs, outputs) in float32, where a product of some 8 rows with `transpose_b` is many
times slower on a CPU; as (outputs, inputs) in bfloat16, which is read faster so (a text in 0.88 of
the time), and where a word's row is in one place.
"""

import numpy as np
import tensorflow as tf

from awd_keras.ops.quantization import quantize

# Entries of a block of columns: a mebibyte when widened to float32.
_BLOCK = 2**18


class DenseMatrix(tf.Module):
    """A matrix in the dtype of its products.

    Args:
        values: float array (inputs, outputs).
        dtype: "float32" or "bfloat16".
    """

    def __init__(self, values, dtype):
        super().__init__()
        self._dtype = tf.as_dtype(dtype)
        self._is_transposed = self._dtype == tf.bfloat16
        values = np.transpose(values) if self._is_transposed else values
        self._values = tf.Variable(tf.cast(values, self._dtype), trainable=False, name="matrix")

    def product(self, x):
        """`x @ matrix`: float32 tensor (rows, outputs) of a float32 tensor (rows, inputs)."""
        x = tf.cast(x, self._dtype)
        return tf.cast(tf.matmul(x, self._values, transpose_b=self._is_transposed), tf.float32)

    def product_of_a_loop(self):
        """`product`, for many steps that follow each other: a function."""
        return self.product

    def lookup(self, ids):
        """Columns, as rows: float32 tensor (ids, inputs) of an integer tensor (ids,)."""
        if self._is_transposed:
            return tf.cast(tf.gather(self._values, ids), tf.float32)
        return tf.cast(tf.transpose(tf.gather(self._values, ids, axis=1)), tf.float32)


class QuantizedMatrix(tf.Module):
    """A matrix in 8 bits, with a scale for each column.

    Args:
        values: float array (inputs, outputs).
        dtype: "float32" or "bfloat16", of the products; 8 bits are exact in both.
    """

    def __init__(self, values, dtype):
        super().__init__()
        self._dtype = tf.as_dtype(dtype)
        self._inputs, self._outputs = values.shape
        quantized, scales = quantize(values, axis=1)
        num_blocks = max(1, round(quantized.size / _BLOCK))
        self._width = -(-self._outputs // num_blocks)
        # Rounding up may leave a block without a column.
        num_blocks = -(-self._outputs // self._width)
        # Uneven widths would need a variable each; a few columns of zeros are cheaper.
        padding = num_blocks * self._width - self._outputs
        quantized = np.pad(quantized, ((0, 0), (0, padding)))
        blocks = quantized.reshape(self._inputs, num_blocks, self._width).transpose(1, 0, 2)
        self._blocks = tf.Variable(blocks, trainable=False, name="blocks")
        self._scales = tf.Variable(scales, trainable=False, name="scales")

    def product(self, x):
        """`x @ matrix`: float32 tensor (rows, outputs) of a float32 tensor (rows, inputs)."""
        x = tf.cast(x, self._dtype)
        blocks = tf.convert_to_tensor(self._blocks)
        parts = [
            tf.matmul(x, tf.cast(blocks[index], self._dtype)) for index in range(blocks.shape[0])
        ]
        product = tf.concat(parts, axis=1)[:, : self._outputs] if len(parts) > 1 else parts[0]
        return tf.cast(product, tf.float32) * self._scales

    def product_of_a_loop(self):
        """`product`, for many steps that follow each other: a function.

        The matrix is widened once for all of them, while they last.
        """
        values = tf.reshape(tf.transpose(self._blocks, (1, 0, 2)), (self._inputs, -1))
        values = tf.cast(values[:, : self._outputs], self._dtype)

        def product(x):
            return tf.cast(tf.matmul(tf.cast(x, self._dtype), values), tf.float32) * self._scales

        return product

    def lookup(self, ids):
        """Columns, as rows: float32 tensor (ids, inputs) of an integer tensor (ids,)."""
        starts = ids // self._width * (self._inputs * self._width) + ids % self._width
        places = starts[:, tf.newaxis] + tf.range(self._inputs) * self._width
        entries = tf.gather(tf.reshape(self._blocks, (-1,)), places)
        return tf.cast(entries, tf.float32) * tf.gather(self._scales, ids)[:, tf.newaxis]


class RowTable(tf.Module):
    """A matrix of which rows are read and nothing is multiplied: an embedding that is not tied.

    Args:
        values: float array (rows, columns).
        dtype: "float32" or "bfloat16".
        quantized: whether to store 8 bits, with a scale for each row.
    """

    def __init__(self, values, dtype, quantized):
        super().__init__()
        self._scales = None
        if quantized:
            values, scales = quantize(values, axis=0)
            self._scales = tf.Variable(scales, trainable=False, name="scales")
        else:
            values = tf.cast(values, dtype)
        self._values = tf.Variable(values, trainable=False, name="rows")

    def lookup(self, ids):
        """Rows: float32 tensor (ids, columns) of an integer tensor (ids,)."""
        rows = tf.cast(tf.gather(self._values, ids), tf.float32)
        if self._scales is not None:
            rows *= tf.gather(self._scales, ids)[:, tf.newaxis]
        return rows
