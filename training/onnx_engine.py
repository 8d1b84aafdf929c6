"""The engine that serves, opened for training's measurements: the only module here that imports ONNX Runtime."""

from pathlib import Path

import onnxruntime


def open_session(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open a graph on the CPU.

    Parameters
    ----------
    path
        ``model.onnx``.
    threads
        Threads it computes with; 0 leaves it to the engine. One is faster than two where another process computes.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a training run may share the cores
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
