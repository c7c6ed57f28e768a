import numpy as np
import pytest

from awd_keras.ops.quantization import dequantize, quantize


def make_matrix(shape=(30, 20)):
    generator = np.random.default_rng(0)
    return (generator.normal(size=shape) * generator.uniform(0.01, 9, shape[1])).astype("float32")


class TestQuantize:
    @pytest.mark.parametrize("axis", [0, 1])
    def test_an_entry_is_off_by_half_a_scale_at_most(self, axis):
        matrix = make_matrix()
        quantized, scales = quantize(matrix, axis)
        assert (quantized.dtype, scales.dtype) == (np.int8, np.float32)
        assert quantized.shape == matrix.shape and scales.shape == (matrix.shape[axis],)
        error = np.abs(dequantize(quantized, scales, axis) - matrix)
        assert np.all(error <= np.expand_dims(scales, 1 - axis) * (0.5 + 1e-4))
        # The largest entry of each row or column is exact.
        assert np.all(np.max(np.abs(quantized.astype(int)), axis=1 - axis) == 127)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_again_gives_the_same_integers(self, axis):
        quantized, scales = quantize(make_matrix(), axis)
        again, other = quantize(dequantize(quantized, scales, axis), axis)
        np.testing.assert_array_equal(again, quantized)
        np.testing.assert_allclose(other, scales, rtol=1e-6)

    def test_columns_of_zeros_and_of_tiny_numbers(self):
        matrix = np.zeros((3, 3), np.float32)
        matrix[:, 1] = 1e-44
        matrix[0, 2] = -5.0
        quantized, scales = quantize(matrix, 1)
        assert np.all(np.isfinite(scales)) and np.all(scales > 0)
        np.testing.assert_allclose(dequantize(quantized, scales, 1), matrix, atol=1e-40)

    def test_scales_of_columns_come_after_the_product(self):
        matrix, x = make_matrix(), np.random.default_rng(1).normal(size=(4, 30))
        quantized, scales = quantize(matrix, 1)
        np.testing.assert_allclose(
            (x @ quantized) * scales, x @ dequantize(quantized, scales, 1), rtol=1e-5, atol=1e-5
        )

    @pytest.mark.parametrize(
        ("matrix", "axis", "message"),
        [
            (np.zeros(3), 0, "shape=.3,."),
            (np.zeros((2, 2)), 2, "axis=2"),
            (np.array([[np.nan]]), 0, "NaN or infinity"),
            (np.array([[np.inf]]), 0, "NaN or infinity"),
        ],
    )
    def test_what_is_no_matrix_of_numbers(self, matrix, axis, message):
        with pytest.raises(ValueError, match=message):
            quantize(matrix, axis)
