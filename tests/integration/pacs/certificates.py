"""A throw-away certificate authority by the openssl command."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A PEM certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """An authority in a folder of its own, and what it issues."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.certificate, self.key = folder / "ca.pem", folder / "ca.key"
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=Testbed {folder.name}",
            "-keyout", str(self.key), "-out", str(self.certificate),
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, name: str, *, address: str = "127.0.0.1", expired: bool = False) -> Certificate:
        """Issue a certificate for a server or a client."""
        made = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName=IP:{address},DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n", "utf-8"
        )
        _openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", str(made.key), "-out",
            str(request),
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self.key),
            "-CAcreateserial", "-days", "-1" if expired else "2", "-extfile", str(extensions), "-out",
            str(made.certificate),
        )  # fmt: skip
        return made

    def client(self, name: str) -> ssl.SSLContext:
        """What a client with a certificate of this authority connects with."""
        return client_context(self.certificate, self.issue(name))


def client_context(authority: Path, shown: Certificate | None = None) -> ssl.SSLContext:
    """A client's side of TLS; host names are not looked at, as is usual between DICOM nodes."""
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.key)
    return context


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
