"""What a benchmark prints and leaves behind: machine, commit, model versions, figures."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

FOLDER = Path(".benchmarks")


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Give p50, p95 and p99."""
    p50, p95, p99 = (float(v) for v in np.percentile(values, (50, 95, 99)))
    return {"p50": round(p50, 2), "p95": round(p95, 2), "p99": round(p99, 2)}


def processor() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def publish(name: str, figures: Mapping[str, object]) -> None:
    """Print the figures and write them to ``.benchmarks/<name>.json``."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    record = {"machine": processor(), "commit": commit.stdout.strip(), **figures}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"\n{name}")
    for key, value in record.items():
        print(f"  {key}: {value}")
