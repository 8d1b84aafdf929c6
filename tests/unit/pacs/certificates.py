"""Certificates made on the spot by openssl: an authority and what it signs, for the loopback."""

import subprocess
from pathlib import Path


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def authority(folder: Path, name: str = "authority") -> tuple[Path, Path]:
    """Make a certificate authority; give its certificate and key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    return certificate, key


def signed(folder: Path, name: str, by: tuple[Path, Path], *, days: int = 2) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and localhost, expired where the days are negative; give it and its key."""
    certificate, key, request = folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}.csr"
    extensions = folder / f"{name}.ext"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n", encoding="ascii")
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request),
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-days", str(days), "-in", str(request), "-CA", str(by[0]), "-CAkey", str(by[1]),
        "-CAcreateserial", "-extfile", str(extensions), "-out", str(certificate),
    )  # fmt: skip
    return certificate, key
