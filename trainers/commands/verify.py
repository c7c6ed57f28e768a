"""The work of `trainers.verify`."""

import platform

import keras
import tensorflow as tf

from awd_keras.version import __version__
from trainers.table import format_table
from trainers.verification import all_checks, largest_error


def main():
    """Runs all checks and prints their table. Returns 1 if one failed, else 0."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    print(
        f"awd-keras {__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"Python {platform.python_version()}, {', '.join(gpus) or 'no GPU'}\n",
        flush=True,
    )
    # Each check traces its own functions, and TensorFlow would warn of that.
    tf.get_logger().setLevel("ERROR")
    # A GPU may otherwise round the factors of float32 products to ten bits.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    rows, failed = [["check", "result", "error", "limit", "where"]], 0
    for name, limit, compare in all_checks():
        error, where = largest_error(compare)
        passed = error <= limit
        failed += not passed
        rows.append([name, "ok" if passed else "FAILED", f"{error:.2g}", f"{limit:.2g}", where])
    print(format_table(rows, left=(0, 1, 4)))
    print(f"\n{len(rows) - 1 - failed} checks passed, {failed} failed")
    return 1 if failed else 0
