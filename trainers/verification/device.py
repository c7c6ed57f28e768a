"""On what a program runs, in words."""

import os
import platform

import keras
import tensorflow as tf

from awd_keras.version import __version__
from trainers.training import factory

NO_GPU = "TensorFlow sees no GPU"


def has_gpu():
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_logical_devices("GPU"))


def describe_device():
    """Versions, device and precision.

    Returns:
        list of lines.

    Example:

    >>> print(describe_device()[0])
    awd-keras ..., TensorFlow ..., Keras ..., Python ...
    """
    versions = (
        f"awd-keras {__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"Python {platform.python_version()}"
    )
    dtype, why = factory.resolve_dtype("auto")
    return [versions, _gpus() or _cpu(), f"runs multiply {dtype} here ({why})"]


def _gpus():
    """A line on the GPUs, empty if there are none."""
    if not has_gpu():
        return ""
    names = []
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        capability = ".".join(map(str, details.get("compute_capability", ("unknown",))))
        names.append(f"{details.get('device_name', gpu.name)} (compute capability {capability})")
    build = tf.sysconfig.get_build_info()
    libraries = f"CUDA {build.get('cuda_version')}, cuDNN {build.get('cudnn_version')}"
    return f"GPU: {', '.join(names)}; TensorFlow was built with {libraries}"


def _cpu():
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            models = [line.partition(":")[2].strip() for line in file if "model name" in line]
        model = models[0] if models else model
    except OSError:
        pass
    return f"CPU: {model}, {os.cpu_count()} cores; {NO_GPU}"
