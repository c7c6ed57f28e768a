"""Does the library compute on this machine what it should?"""

from trainers.verification.check import Check, measured
from trainers.verification.comparison import relative_error, to_numpy, worst
from trainers.verification.device import describe_device
from trainers.verification.kernels import check_kernels
from trainers.verification.plain_lstm import plain_lstm
from trainers.verification.precision import floatx, tensor_float_32
from trainers.verification.reference_vectors import check_reference_vectors
from trainers.verification.resume import check_resume

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
