"""GPUs of this machine, asked of the driver: importing torch to plan a workflow would take seconds."""

import ctypes
from importlib.metadata import version


def gpus(driver: str = "libcuda.so.1") -> int:
    """Number of NVIDIA GPUs that trainings here can use.

    The driver heeds CUDA_VISIBLE_DEVICES. 0 without its library, and with a build of torch for CPUs only.
    """
    if version("torch").endswith("+cpu"):
        return 0
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        return 0
    count = ctypes.c_int()
    failed = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
    return 0 if failed else count.value
