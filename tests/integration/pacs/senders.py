"""Modalities and gateways that send to us: C-STORE by pynetdicom and by dcmtk, STOW-RS by plain HTTP."""

import contextlib
import io
import socket
import ssl
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx2
from pydicom import dcmread
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.status import code_to_category
from pynetdicom.transport import AddressInformation, AssociationSocket

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700


def c_store(
    address: tuple[str, int],
    contents: Iterable[bytes],
    *,
    called: str = "DISCERN",
    calling: str = "MODALITY",
    timeout_s: float = 60.0,
    tls: ssl.SSLContext | None = None,
) -> list[int | None]:
    """Send objects over one association, as they are coded.

    Returns
    -------
    list of int or None
        The status of each, in order; None for one that was not answered: no association, or it was cut.
    """
    objects = [dcmread(io.BytesIO(content)) for content in contents]
    ae = _Modality(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = timeout_s
    wanted = sorted({(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in objects})
    ae.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in wanted]
    association = ae.associate(*address, ae_title=called, tls_args=(tls, address[0]) if tls else None)
    found: list[int | None] = []
    for each in objects:
        status = None
        if association.is_established:
            try:
                status = association.send_c_store(each).get("Status")
            except (RuntimeError, ValueError):  # cut in between; or a context that was not accepted
                status = None
        found.append(status)
    if association.is_established:
        association.release()
    elif association.is_alive():
        association.join(timeout_s)
    return found


class _Socket(AssociationSocket):
    """A connection that is closed although its other end is gone, which pynetdicom leaves to the garbage collector."""

    def _shutdown_socket(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class _Modality(AE):
    """An application entity whose associations use such connections."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        """Make the connection of one association."""
        made = _Socket(assoc, address=address)
        made.tls_args = tls_args
        return made


def is_taken(status: int | None) -> bool:
    """Whether a C-STORE status acknowledges the object."""
    return status is not None and code_to_category(status) in {"Success", "Warning"}


def storescu(
    address: tuple[str, int], paths: Sequence[Path], *options: str, called: str = "DISCERN"
) -> subprocess.CompletedProcess[str]:
    """Send files by dcmtk."""
    return subprocess.run(
        ["storescu", "-v", *options, "-aec", called, address[0], str(address[1]), *map(str, paths)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def echoscu(address: tuple[str, int], *options: str, called: str = "DISCERN") -> bool:
    """Ask by dcmtk whether somebody is there: an association and a C-ECHO."""
    ran = subprocess.run(
        ["echoscu", "-to", "5", "-ta", "5", "-td", "5", *options, "-aec", called, address[0], str(address[1])],
        check=False,
        capture_output=True,
        timeout=60,
    )
    return ran.returncode == 0


def stow(
    url: str, contents: Sequence[bytes], *, timeout_s: float = 120.0, headers: Mapping[str, str] | None = None
) -> httpx2.Response:
    """Send objects by STOW-RS in one request; ``url`` ends in ``/studies``."""
    parts = [b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n" for each in contents]
    return httpx2.post(
        url,
        content=b"".join([*parts, b"--cut--\r\n"]),
        headers={
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=cut',
            "Accept": "application/dicom+json",
        }
        | dict(headers or {}),
        timeout=timeout_s,
        trust_env=False,
    )


def stowed(answer: httpx2.Response) -> tuple[set[str], dict[str, int]]:
    """What an answer to STOW-RS acknowledges, and what it refuses with which reason, by SOP Instance UID."""
    said = answer.json() if answer.content else {}
    taken = {_value(each, "00081155") for each in said.get("00081199", {}).get("Value", ())}
    refused = {
        _value(each, "00081155"): int(_value(each, "00081197")) for each in said.get("00081198", {}).get("Value", ())
    }
    return taken, refused


def _value(item: Mapping[str, Mapping[str, list[str]]], tag: str) -> str:
    return item.get(tag, {}).get("Value", [""])[0]
