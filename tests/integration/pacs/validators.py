"""Validators by others: dciodvfy (dicom3tools) for every object, pixelmed's DicomSRValidator for structured reports.

Pixelmed's is the one that IHE names for AI Results; of both, errors are failures and warnings are not.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

PIXELMED = Path("/usr/share/java/pixelmed.jar")
_UNLIMITED = [f"-Djdk.xml.{limit}=0" for limit in ("xpathTotalOpLimit", "xpathExprOpLimit", "xpathExprGrpLimit")]
_QUICK = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
"""It runs for a second or two: compiling well costs more than it gives."""
_SR_CLASSES = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.88\.\d+")


def why_not() -> str | None:
    """Say why nothing can be validated here; None where it can."""
    if shutil.which("dciodvfy") is None:
        return "no dciodvfy here (apt-get install dicom3tools)"
    if shutil.which("java") is None or not PIXELMED.exists():
        return "no pixelmed here (apt-get install libpixelmed-java default-jre-headless)"
    return None


def dciodvfy(content: bytes) -> list[str]:
    """The errors that dciodvfy finds in an object."""
    return [line for line in _run(["dciodvfy", "-new"], content) if line.startswith("Error")]


def sr_validator(content: bytes) -> list[str]:
    """The errors that pixelmed finds in a structured report, one that it does not recognise included."""
    command = ["java", *_QUICK, *_UNLIMITED, "-cp", "/usr/share/java/*", "com.pixelmed.validate.DicomSRValidator"]
    said = _run(command, content)
    errors = [line for line in said if re.match(r"(Error|.*[Ee]xception)", line)]
    if "IOD validation complete" not in said or not any(re.match(r"Found \w+ IOD", line) for line in said):
        errors.append(f"Error: not validated: {' / '.join(said)[:300]}")
    return errors


def is_report(content: bytes) -> bool:
    """Whether an object is a structured report, by its file meta information."""
    return _SR_CLASSES.search(content[:400]) is not None


def errors(content: bytes) -> list[str]:
    """What either validator holds against an object; empty where it is clean."""
    return dciodvfy(content) + (sr_validator(content) if is_report(content) else [])


def _run(command: list[str], content: bytes) -> list[str]:
    """Run a validator on an object; gives the lines of its output."""
    with tempfile.TemporaryDirectory(prefix="discern-validator-") as folder:
        path = Path(folder) / "object.dcm"
        path.write_bytes(content)
        ran = subprocess.run(
            [*command, str(path)],
            check=False,
            capture_output=True,
            timeout=120,
            env=os.environ | {"JAVA_TOOL_OPTIONS": "", "LC_ALL": "C.UTF-8"},
        )
    return (ran.stdout + ran.stderr).decode("utf-8", "replace").splitlines()
