"""Matrices in 8 bits: one scale for each row or column, chosen by its largest entry.

    quantized = round(matrix / scale), scale = largest |entry| / 127

Symmetric, so that zero stays zero and a product needs no correction: a matrix whose *columns* have
scales is multiplied as `(x @ quantized) * scales`. Everything here is NumPy.
"""

import numpy as np

_LARGEST = 127


def quantize(matrix, axis):
    """Rounds a matrix to 8 bits.

    Args:
        matrix: float array (rows, columns), all finite.
        axis: 0 for a scale for each row, 1 for one for each column.

    Returns:
        `(quantized, scales)`: int8 array of the matrix's shape, from -127 to 127, and float32
        array (rows,) or (columns,). An entry is off by half its scale at most. Quantizing the
        result of `dequantize` gives the same integers.

    Raises:
        ValueError: if the matrix has not two dimensions, or an entry is not finite.

    Example:

    >>> quantized, scales = quantize(np.array([[127.0, -254.0], [0.0, 2.0]]), axis=1)
    >>> print(quantized, scales)
    [[ 127 -127]
     [   0    1]] [1. 2.]
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or axis not in (0, 1):
        raise ValueError(
            "quantize takes a matrix and the axis 0 or 1. "
            f"Received: shape={matrix.shape}, axis={axis!r}"
        )
    if not np.all(np.isfinite(matrix)):
        raise ValueError("quantize takes finite entries. Received: a matrix with NaN or infinity")
    largest = np.max(np.abs(matrix), axis=1 - axis, initial=0.0)
    # Zeros alone: any scale serves.
    scales = np.where(largest > 0, largest / _LARGEST, 1.0).astype(np.float32)
    # The scale of subnormal numbers may be zero in float32; so may the entries.
    scales = np.where(scales > 0, scales, np.float32(1.0))
    quantized = np.rint(matrix / np.expand_dims(scales, 1 - axis))
    return np.clip(quantized, -_LARGEST, _LARGEST).astype(np.int8), scales


def dequantize(quantized, scales, axis):
    """The float32 matrix that `quantize` stands for.

    Args:
        quantized: int8 array (rows, columns).
        scales: float32 array (rows,) for axis 0, (columns,) for axis 1.
        axis: as in `quantize`.

    Returns:
        float32 array (rows, columns).
    """
    return quantized.astype(np.float32) * np.expand_dims(np.asarray(scales), 1 - axis)
