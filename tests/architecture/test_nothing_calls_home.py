"""onnxruntime 1.29 and later report to their maker unless ORT_DISABLE_TELEMETRY is set before the import.

A process that reports first writes an identifier of the device below the user's cache directory, network or not.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SILENCED_BY = ("CI", "TF_BUILD", "GITHUB_", "ORT_", "XDG_", "BUILD_", "JENKINS_", "GITLAB_", "TEAMCITY_", "TRAVIS")


@pytest.mark.parametrize("module", ["app.inference.onnx_network", "app.inference.device", "training.onnx_session"])
def test_importing_leaves_no_device_identifier(module: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SILENCED_BY)}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, cwd=tmp_path, check=True)

    left = [
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() and "icrosoft" in str(path)
    ]
    assert left == []
