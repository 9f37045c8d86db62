"""The device that a backend computes on: what it is, what it reaches at best, how much memory it has used."""

import resource
import sys

import numpy as np

from benchmarks import compiled, stopwatch

PRODUCTS = 8  # of a chain, so that starting a program weighs little
WIDTH = {"cpu": 1024, "gpu": 8192}  # of square matrices
SUMMED_MIB = {"cpu": 256, "gpu": 4096}  # beyond any cache


def kind():
    """``"gpu"`` or ``"cpu"``: where the active backend computes."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return "cpu" if jax.default_backend() == "cpu" else "gpu"
    if backend == "torch":
        import torch

        return "gpu" if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"


def name():
    """The maker's name of the GPU that computes, or ``"CPU"``."""
    import keras

    if kind() == "cpu":
        return "CPU"
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.devices()[0].device_kind
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name()
    import tensorflow as tf

    return tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])["device_name"]


def peak_resident_mib():
    """The most memory that this process has had, libraries included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (20 if sys.platform == "darwin" else 10)  # bytes there, kilobytes elsewhere


def peak_device_mib():
    """The most memory that this process has had on its GPU; None on a CPU."""
    import keras

    if kind() == "cpu":
        return None
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20


def best_rates(precision, repeats):
    """What the device reaches, measured: the roof under which every model runs.

    Args:
        precision: ``"float32"`` or ``"bfloat16"``, of the matrices.
        repeats: timed runs; the fastest counts.

    Returns:
        Dict with ``flops_per_second`` of large matrix products and ``bytes_per_second`` of reading memory.
    """
    from keras import ops

    width, floats = WIDTH[kind()], SUMMED_MIB[kind()] * 2**18
    matrix = np.random.default_rng(0).standard_normal((width, width), dtype="float32") / np.sqrt(width)

    def products(matrix):
        product = ops.cast(matrix, precision)
        factor = product
        for _ in range(PRODUCTS):
            product = ops.matmul(product, factor)
        return ops.sum(ops.cast(product, "float32"))

    seconds = {
        "products": fastest(compiled.forward(products), ops.convert_to_tensor(matrix), repeats),
        "sum": fastest(compiled.forward(ops.sum), ops.ones((floats,), dtype="float32"), repeats),
    }
    return {
        "flops_per_second": 2.0 * PRODUCTS * width**3 / seconds["products"],
        "bytes_per_second": 4.0 * floats / seconds["sum"],
    }


def fastest(function, tensor, repeats):
    """Least seconds of a call, after one that compiles."""
    function(tensor)
    return min(stopwatch.seconds_of(lambda: function(tensor)) for _ in range(repeats))
