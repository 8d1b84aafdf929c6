"""Which device networks run on: chosen once, checked, never silently another one."""

import ctypes
from typing import Final, Literal, TypeAlias

try:
    import onnxruntime as ort
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "there is no inference engine: install discern[cpu], or discern[gpu] on a machine with an NVIDIA GPU",
        name="onnxruntime",
    ) from missing

Device: TypeAlias = Literal["cpu", "cuda"]
DeviceChoice: TypeAlias = Literal["auto", "cpu", "cuda"]

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
_DRIVER: Final = "libcuda.so.1"


class DeviceUnavailableError(RuntimeError):
    """A device was asked for that this process cannot use."""


def choose_device(choice: DeviceChoice) -> Device:
    """Settle ``auto`` and refuse a GPU that is not there.

    Raises
    ------
    DeviceUnavailableError
        If ``cuda`` was asked for and onnxruntime has no CUDA provider, or the machine no GPU.
    """
    if choice == "cpu":
        return "cpu"
    if CUDA_PROVIDER not in ort.get_available_providers():
        missing = "onnxruntime has no CUDA provider here; install the extra [gpu] instead of [cpu]"
    elif not _gpu_is_present():
        missing = f"the NVIDIA driver ({_DRIVER}) finds no GPU here"
    else:
        ort.preload_dlls()
        return "cuda"
    if choice == "cuda":
        raise DeviceUnavailableError(f"DISCERN_DEVICE=cuda, but {missing}")
    return "cpu"


def _gpu_is_present() -> bool:
    """Ask the driver; onnxruntime-gpu lists its CUDA provider on machines without a GPU too."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    count = ctypes.c_int(0)
    return bool(driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0)


def provider_of(device: Device) -> str:
    """The execution provider that must be in use for a device."""
    return CUDA_PROVIDER if device == "cuda" else CPU_PROVIDER


def session_options(device: Device) -> ort.SessionOptions:
    """One thread a session on a CPU: parallelism comes from the workers; never spin."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if device == "cpu":
        options.enable_cpu_mem_arena = False
    return options


def provider_options(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    """Providers in order of preference; full single precision on a GPU (TF32 off)."""
    if device == "cuda":
        return [(CUDA_PROVIDER, {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}), CPU_PROVIDER]
    return [CPU_PROVIDER]
