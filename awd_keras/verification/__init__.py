"""Does the library compute on this machine what it should?"""

from awd_keras.verification.check import Check, measured
from awd_keras.verification.comparison import relative_error, to_numpy, worst
from awd_keras.verification.device import describe_device
from awd_keras.verification.kernels import check_kernels
from awd_keras.verification.plain_lstm import plain_lstm
from awd_keras.verification.precision import floatx, tensor_float_32
from awd_keras.verification.reference_vectors import check_reference_vectors
from awd_keras.verification.resume import check_resume

# By name: what there is to check. Each is an iterator of `Check`s.
CHECKS = {
    "reference": check_reference_vectors,
    "lstm": check_kernels,
    "resume": check_resume,
}

__all__ = [
    "CHECKS",
    "Check",
    "check_kernels",
    "check_reference_vectors",
    "check_resume",
    "describe_device",
    "floatx",
    "measured",
    "plain_lstm",
    "relative_error",
    "tensor_float_32",
    "to_numpy",
    "worst",
]
