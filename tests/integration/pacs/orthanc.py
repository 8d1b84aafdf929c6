"""A real PACS: Debian's Orthanc, in a network namespace because it listens on every address."""

import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
from pydicom.uid import UID

from tests.integration.pacs import network
from tests.integration.pacs.network import Network

ORTHANC = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PLUGINS = Path("/usr/share/orthanc/plugins")
USER, PASSWORD = "svc", "svc"
START_S = 30.0

Json: TypeAlias = Any  # what a PACS answers is looked at, not modelled


def why_not() -> str | None:
    """Say why no Orthanc can run here; None where one can."""
    if ORTHANC is None:
        return "no Orthanc here (apt-get install orthanc orthanc-dicomweb orthanc-gdcm)"
    return network.why_not()


class Orthanc:
    """One Orthanc with its folder; started, killed and started again under the same name, ports and data.

    Parameters
    ----------
    net
        The namespace it runs in.
    folder
        For its configuration, log and, unless ``storage`` says otherwise, its data.
    aet
        Its AE title.
    http_port, dicom_port
        Where it listens; one pair per Orthanc of a namespace.
    modalities
        Whom it may send to by name: AE title, host and port.
    plugins
        File names in Debian's plugin folder.
    storage
        Another folder for files and index: a small disk, say.
    settings
        Anything else of its configuration; wins.
    """

    def __init__(
        self,
        net: Network,
        folder: Path,
        *,
        aet: str = "ORTHANC",
        http_port: int = 8042,
        dicom_port: int = 4242,
        modalities: Mapping[str, tuple[str, str, int]] | None = None,
        plugins: Sequence[str] = ("libOrthancDicomWeb.so", "libOrthancGdcm.so"),
        storage: Path | None = None,
        settings: Mapping[str, Json] | None = None,
    ) -> None:
        self.net, self.folder, self.aet = net, folder, aet
        self.host, self.http_port, self.dicom_port = net.there, http_port, dicom_port
        self.url = f"http://{net.there}:{http_port}"
        self.dicom_web_url = f"{self.url}/dicom-web"
        self.log = folder / "orthanc.log"
        self.modalities = dict(modalities or {})
        self.plugins = list(plugins)
        self.storage = storage or folder / "db"
        self.settings = dict(settings or {})
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.rest = httpx2.Client(base_url=self.url, auth=(USER, PASSWORD), timeout=60.0, trust_env=False)

    def configuration(self) -> dict[str, Json]:
        """What it is started with."""
        return {
            "Name": self.aet,
            "StorageDirectory": str(self.storage),
            "IndexDirectory": str(self.storage),
            "Plugins": [str(PLUGINS / each) for each in self.plugins],
            "Gdcm": {
                "Enable": True,
                "RestrictTransferSyntaxes": ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"],
            },
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.aet,
            "RemoteAccessAllowed": True,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomModalities": {
                name: {"AET": aet, "Host": host, "Port": port, "AllowStorageCommitment": True}
                for name, (aet, host, port) in self.modalities.items()
            },
            "StableAge": 2,
            "OverwriteInstances": False,
            "SaveJobs": True,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "WadoRoot": "/wado"},
        } | self.settings

    def start(self) -> "Orthanc":
        """Start it and wait until it answers."""
        assert self.process is None
        assert ORTHANC is not None
        self.storage.mkdir(parents=True, exist_ok=True)
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self.configuration(), indent=1), encoding="utf-8")
        self.process = self.net.start(ORTHANC, str(path), log=self.log)
        deadline = time.monotonic() + START_S
        while not self.answers():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Orthanc did not start ({ended}): {self.log.read_text('utf-8')[-2000:]}")
            time.sleep(0.05)
        return self

    def answers(self) -> bool:
        """Whether its REST interface and its DICOM port are there."""
        try:
            return self.rest.get("/system", timeout=2.0).status_code == 200
        except httpx2.TransportError:
            return False

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started last is still there."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it at once, as a loss of power to the process would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in its own time."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang: connections are taken by the kernel, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def rebuild(self) -> None:
        """Throw index and files away, as after a lost database: the sequence of changes begins anew. Not running."""
        assert self.process is None
        shutil.rmtree(self.storage)

    def close(self) -> None:
        """End whatever runs."""
        self.kill()
        self.rest.close()

    def _end(self, how: signal.Signals) -> None:
        """Signal the process, if there is one, and wait for its end."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        self.process = None

    def _signal(self, which: signal.Signals) -> None:
        """Signal the process."""
        assert self.process is not None
        self.process.send_signal(which)

    # What tests ask of it: through its own REST interface, independent of the clients under test.

    def get(self, path: str) -> Json:
        """Ask its REST interface."""
        return self.rest.get(path).raise_for_status().json()

    def post(self, path: str, content: Json) -> Json:
        """Tell its REST interface something, as JSON."""
        return self.rest.post(path, json=content).raise_for_status().json()

    def store(self, content: bytes) -> str:
        """Put one file into it; gives Orthanc's own identifier of the instance."""
        answer = self.rest.post("/instances", content=content, headers={"Content-Type": "application/dicom"})
        identifier: str = answer.raise_for_status().json()["ID"]
        return identifier

    def delete(self, identifier: str) -> None:
        """Remove one instance."""
        self.rest.delete(f"/instances/{identifier}").raise_for_status()

    def count(self) -> int:
        """How many instances it holds."""
        number: int = self.get("/statistics")["CountInstances"]
        return number

    def instances(self) -> dict[str, str]:
        """SOP Instance UID to Orthanc's identifier, of every instance it holds."""
        found = self.get("/instances?expand")
        return {each["MainDicomTags"]["SOPInstanceUID"]: each["ID"] for each in found}

    def find(self, sop_instance_uid: str) -> str | None:
        """Orthanc's identifier of an instance; None where it does not hold it."""
        found = self.post("/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": UID(sop_instance_uid)}})
        return found[0] if found else None

    def file(self, identifier: str) -> bytes:
        """The bytes of an instance as it keeps them."""
        return self.rest.get(f"/instances/{identifier}/file").raise_for_status().content

    def hashes(self) -> dict[str, str]:
        """SOP Instance UID to the SHA-256 of the file, of every instance it holds."""
        return {uid: hashlib.sha256(self.file(identifier)).hexdigest() for uid, identifier in self.instances().items()}

    def send(self, identifiers: Sequence[str], modality: str) -> Json:
        """Let it send instances to a modality by C-STORE, and wait for the end of that job."""
        return self.post(f"/modalities/{modality}/store", {"Resources": list(identifiers), "Synchronous": True})


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0, every_s: float = 0.1) -> None:
    """Wait for something to become true.

    Raises
    ------
    TimeoutError
        If it does not in time; ``what`` says what was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
