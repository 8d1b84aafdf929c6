"""Importing the application does nothing but define it."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROBE = """
import builtins, json, os, sys, threading
opened, kept = [], builtins.open
def watched(file, mode="r", *rest, **named):
    if set(mode) & set("wax+"):
        opened.append(str(file))
    return kept(file, mode, *rest, **named)
builtins.open = watched
import app.main, app.cli, app.bootstrap
json.dump({
    "threads": [thread.name for thread in threading.enumerate()],
    "tasks": len(os.listdir("/proc/self/task")),
    "written": opened,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}, sys.stdout)
"""
FOREIGN = {"torch", "torchvision", "onnx", "onnxscript", "sklearn", "matplotlib", "cv2", "training", "tests", "pytest"}


def test_importing_the_application_starts_and_writes_nothing_and_needs_no_training_library(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)}
    environment = {name: value for name, value in environment.items() if not name.startswith(("CI", "ORT_", "XDG_"))}
    environment |= {"OPENBLAS_NUM_THREADS": "1"}

    output = subprocess.check_output([sys.executable, "-c", PROBE], env=environment, cwd=tmp_path)

    found = json.loads(output)
    assert found["threads"] == ["MainThread"]
    assert found["written"] == []
    assert found["tasks"] == 1
    assert FOREIGN & set(found["modules"]) == set()
    assert list(tmp_path.iterdir()) == []
